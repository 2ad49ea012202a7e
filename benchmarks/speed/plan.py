"""On paper: a day of 300 million customers in 12 regions, from what the other parts measured on this machine.

Seconds of a core are taken as measured here, both cores busy, commit included, and divided by what the standalone cluster kept of
a second worker; requests are counted on the benchmarks' own lakes, a file system between them and the files.  What a plan cannot
know: networks between machines, an object store's latency, neighbours.
"""

import argparse
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from benchmarks.speed import features
from benchmarks.speed.contest import rows_of
from benchmarks.speed.features_peers import THREADS
from benchmarks.speed.reference_lake import DAY, REGION, Shape, reference_lake
from propensity.storage import Lake

CUSTOMERS, REGIONS, BUCKET = 300_000_000, 12, 25_000
"""Customers in all, regions, customers of a bucket.  Region n has a share of 1 / n, as skewed as tokens are."""
WINDOWS, EPOCHS = 4, 3
"""Label windows that a region learns from, and how often; once a week."""
MACHINES, CORES = 16, 16
"""m7i.4xlarge: 16 virtual cores of the processor's generation that these figures come from, where the project's were measured."""
CORE_HOUR = 0.0504
"""Dollars: m7i.xlarge, 4 cores, on demand in us-east-1 at 0.2016 an hour; https://c3x.dev/blog/m5-vs-m6i-vs-m7i-cost-performance."""
PUT, GET = 0.005 / 1000, 0.0004 / 1000
"""Dollars; https://devnotes.tech/understanding-aws-s3-pricing-a-complete-cost-breakdown-with-examples."""
NEEDED = ("scoring", "features", "landing", "publish", "cluster", "training")
"""Parts whose results the plan is made of."""


@dataclass(frozen=True)
class Stage:
    """One stage of a day, all regions together."""

    name: str
    core_seconds: float
    puts: float
    gets: float

    def minutes(self, cores: int) -> float:
        """Return how long so many cores take, busy to the end: buckets are many for each core."""
        return self.core_seconds / cores / 60

    def dollars(self) -> float:
        """Return what cores and requests cost."""
        return self.core_seconds / 3600 * CORE_HOUR + self.puts * PUT + self.gets * GET


class CountedFiles:
    """A file system that counts what an object store would be asked: a read is a GET, a size a HEAD, a file written a PUT."""

    def __init__(self, inner: Any) -> None:
        self._inner, self.counts = inner, Counter[str]()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def open_input_file(self, path: str) -> pa.PythonFile:
        """Open a file whose reads are counted."""
        self.counts["gets"] += 1  # its size
        return pa.PythonFile(_CountedReads(self._inner.open_input_file(path), self.counts), mode="r")

    def open_output_stream(self, path: str) -> Any:
        """Open a file to write; an object store has no folders to be made."""
        self.counts["puts"] += 1
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        return self._inner.open_output_stream(path)

    def get_file_info(self, path: str) -> Any:
        """Return what is known of a file."""
        self.counts["gets"] += 1
        return self._inner.get_file_info(path)


class _CountedReads:
    """A file in Python whose every read counts."""

    def __init__(self, inner: Any, counts: Counter[str]) -> None:
        self._inner, self._counts = inner, counts
        self.closed = False

    def read(self, size: int = -1) -> bytes:
        self._counts["gets"] += 1
        return bytes(self._inner.read(size if size >= 0 else None))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


def measure(home: Path, fast: bool) -> dict[str, Any]:
    """Return the plan's stages, made of the results in the folders beside `home`; raise SystemExit where one is missing."""
    missing = [name for name in NEEDED if not (home.parent / name / "result.json").is_file()]
    if missing:
        raise SystemExit(f"error: {home.parent} has no results of {', '.join(missing)}. To do: run `make bench` first")
    found = {name: json.loads((home.parent / name / "result.json").read_text()) for name in NEEDED}
    counted = {"score": counted_scoring(home), "features": counted_features(home.parent / "features", fast)}
    rows = found["publish"]["contenders"]["ours, two processes"]["rows_s"]
    return {"stages": [vars(stage) for stage in stages(found, counted)], "requests_a_bucket": counted,
            "largest_region_minutes": largest_region() / rows / 60}  # fmt: skip


def stages(found: Mapping[str, Any], counted: Mapping[str, Mapping[str, float]]) -> list[Stage]:
    """Return the stages of a day, and a week's training, from what was measured and counted."""
    kept, buckets = found["cluster"]["efficiency"], CUSTOMERS / BUCKET
    scoring, made, landed, learned = (found[name] for name in ("scoring", "features", "landing", "training"))
    samples = CUSTOMERS * WINDOWS * EPOCHS
    seconds = {
        "landing": cores(landed["contenders"]["ours, through Spark"]) / landed["events"] * events_a_day() / kept,
        "features": cores(made["contenders"]["ours, through Spark"]) / made["users"] * CUSTOMERS / kept,
        "score, float32": THREADS / scoring["contenders"]["ours, float32"]["users_s"] * CUSTOMERS / kept,
        "or score, bfloat16": THREADS / scoring["contenders"]["ours, bfloat16"]["users_s"] * CUSTOMERS / kept,
        "publish": THREADS / found["publish"]["contenders"]["ours, two processes"]["rows_s"] * CUSTOMERS,
        "train, once a week": samples / learned["samples_per_s"]["ours, bfloat16 products"] * learned["threads"],
    }
    score = counted["score"]
    asked = {"landing": {"puts": 1.0, "gets": 2.0}, "features": counted["features"], "score, float32": score,
             "or score, bfloat16": score, "publish": {"puts": 0.0, "gets": score["gets"]},
             "train, once a week": {"puts": 0.0, "gets": 2 * WINDOWS * EPOCHS * score["gets"]}}  # fmt: skip
    return [Stage(name, taken, asked[name]["puts"] * buckets, asked[name]["gets"] * buckets) for name, taken in seconds.items()]


def largest_region() -> float:
    """Return how many customers the largest region has."""
    return CUSTOMERS / sum(1 / n for n in range(1, REGIONS + 1))


def cores(contender: Mapping[str, float]) -> float:
    """Return the core seconds of a contender that had THREADS cores to itself."""
    return contender["run_s"] * THREADS


def events_a_day() -> float:
    """Return how many events a day brings: as many a customer as the benchmark's window has."""
    return CUSTOMERS * features.USERS_EACH / features.WINDOWS[-1]


def counted_scoring(home: Path) -> dict[str, float]:
    """Return the requests that scoring one bucket takes."""
    from propensity.engine.scoring import score_region

    lake, champion = reference_lake(home, Shape(4_000, buckets=4), "float32")
    lake.fs = files = CountedFiles(lake.fs)
    score_region(lake, REGION, DAY, champion, force=False)
    return {key: files.counts[key] / 4 for key in ("puts", "gets")}


def counted_features(home: Path, fast: bool) -> dict[str, float]:
    """Return the requests that one bucket's features take, the window being as daily runs leave it."""
    from propensity.engine.features import make_features

    lake = Lake(features.config_of(features.made(home, features.FAST if fast else features.FULL)))
    lake.fs = files = CountedFiles(lake.fs)
    [region] = lake.config.region_names[-1:]
    built = make_features(lake, region, [features.SCORE_DATE], force=True)
    return {key: files.counts[key] / len(built or ()) for key in ("puts", "gets")}


def table(result: Mapping[str, Any]) -> list[str]:
    """Return the plan as Markdown."""
    lines = []
    for told in result["stages"]:
        stage = Stage(**told)
        counts = f"{stage.core_seconds / 3600:,.0f}", f"{stage.minutes(MACHINES * CORES):.1f}"
        lines.append([stage.name, *counts, f"{stage.puts + stage.gets:,.0f}", f"{stage.dollars():.2f}"])
    title = [
        "300 million customers, 12 regions",
        "core hours",
        f"minutes on {MACHINES} machines of {CORES} cores",
        "requests",
        "dollars",
    ]
    return [
        *rows_of(title, lines),
        "",
        "Core seconds are those measured here, storage local and warm: no network and no latency of an object store is in them.  "
        f"The largest region has {largest_region() / 1e6:.0f} million customers; one Postgres like the one here loads them in "
        f"{result['largest_region_minutes']:.0f} minutes, and each region may have one of its own.",
    ]


def main() -> None:
    """Print the plan."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--home", type=Path, default=Path("var/bench/plan"))
    arguments = parser.parse_args()
    print("\n".join(table(measure(arguments.home, fast=False))))


if __name__ == "__main__":
    main()
