"""Every speed benchmark, one after the other: ours and the peers on the same data, in turns; tables, and JSON of every run.

``--only scoring memory`` runs these parts alone.  ``--fast`` takes less data, one round, fewer parts and peers; what it prints is
a first look, not a figure to quote.
"""

import argparse
import json
import platform
import sys
import time
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from benchmarks.speed.contest import ROOT, load

PARTS = {
    "scoring": "Scoring, the 50 likeliest of 2,000 categories",
    "scoring_profile": "Where the time of scoring goes",
    "precision": "Scoring in fewer bits",
    "equality": "The quick path beside the plain one, bit for bit",
    "top_k": "The 50 highest of 2,000",
    "encodings": "All 2,000 scores of a customer",
    "features": "Features of a day, from a window of 91 days",
    "features_profile": "Where the time of the features goes",
    "landing": "Landing a day",
    "day_cost": "What a day costs as the window grows",
    "training": "Training",
    "publish": "Publishing to Postgres",
    "day_jobs": "A small region's day, second by second",
    "day_airflow": "The same day under Airflow's scheduler",
    "growth": "How the cost grows",
    "skew": "Skew",
    "sweep": "Threads and tasks",
    "cluster": "A standalone cluster of one worker and of two",
    "memory": "Memory",
    "plan": "On paper: 300 million customers, 2,000 categories, 12 regions",
}
"""Module of this package -> title of its table."""
QUICK = ("scoring", "precision", "equality", "top_k", "encodings", "features", "landing", "training", "publish", "day_jobs")
"""What ``--fast`` runs."""
RESULT = "result.json"
TABLE = ROOT / "benchmarks" / "README.md"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the parts, print their tables, keep the JSON; with ``--write`` keep the tables too."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--home", type=Path, default=ROOT / "var" / "bench", help="where data and results go")
    parser.add_argument("--fast", action="store_true", help="less data, one round")
    parser.add_argument("--only", nargs="*", choices=PARTS, help="these parts alone")
    parser.add_argument("--write", action="store_true", help="put the tables into benchmarks/README.md")
    arguments = parser.parse_args(argv)
    started = time.monotonic()
    for name in arguments.only or (QUICK if arguments.fast else PARTS):
        print(f"{PARTS[name]} ({time.monotonic() - started:.0f} s so far, load average {load():.1f})", flush=True)
        print("\n".join(lines_of(name, run(name, arguments.home / name, arguments.fast))), flush=True)
    if arguments.write:
        TABLE.write_text(written(arguments.home))
    print(f"whole command: {time.monotonic() - started:.0f} s")
    return 0


def run(name: str, home: Path, fast: bool) -> dict[str, Any]:
    """Run a part, keep its result and the seconds it took, return them."""
    home.mkdir(parents=True, exist_ok=True)
    begun = time.monotonic()
    result = import_module(f"benchmarks.speed.{name}").measure(home, fast)
    text = json.dumps({**result, "part_s": time.monotonic() - begun}, indent=1)
    (home / RESULT).write_text(text)
    kept: dict[str, Any] = json.loads(text)
    return kept


def lines_of(name: str, result: dict[str, Any]) -> list[str]:
    """Return a part's title and table."""
    return [f"## {PARTS[name]}", "", *import_module(f"benchmarks.speed.{name}").table(result), ""]


def written(home: Path) -> str:
    """Return all tables that there are results of, also of parts that ran before."""
    found = {name: json.loads((home / name / RESULT).read_text()) for name in PARTS if (home / name / RESULT).is_file()}
    minutes = sum(result["part_s"] for result in found.values()) / 60
    lines = [line for name, result in found.items() for line in lines_of(name, result)]
    return "\n".join([*head(minutes), *lines])


def head(minutes: float) -> list[str]:
    """Return what the tables were measured on."""
    return [
        "# Speed",
        "",
        f"What `make bench` printed, in {minutes:.0f} minutes on {machine()}. Contenders run in turns on the same data;",
        "figures are medians of the turns. How each is measured: the module of the same name in `benchmarks/speed`.",
        "",
    ]


def machine() -> str:
    """Return processor and cores as the system tells them."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{len(names) or '?'} cores of {names[0] if names else platform.processor()}"


if __name__ == "__main__":
    sys.exit(main())
