"""How the cost of a day grows: customers, features, categories, non-zeros, buckets, each doubled five times, and a fitted slope.

What is timed is the processor time of the engine's own tasks in one process: read a bucket's file, score, write.  Everything
but what is doubled stays as it is at the reference shape.  A slope is that of log(seconds) on log(size), by least squares: 1 is
a cost in proportion.  Small points have a fixed share, which makes a slope look better than the last doublings; so the steepest
doubling is told beside it.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from benchmarks.running import ROOT
from benchmarks.speed.contest import load, rows_of
from benchmarks.speed.growth_picture import PICTURE, picture

BAR, BUCKETS_BAR = 1.05, 0.3
"""Most that a slope may be; that of buckets, among which the same customers are divided, must be far below."""
FLAT = 1.1
"""Most that the largest peak of memory may be, to the smallest's."""
CUSTOMERS, BUCKETS = "customers", "buckets"


@dataclass(frozen=True)
class Slope:
    """A fitted exponent with its 95% interval (Student's t on the residuals)."""

    slope: float
    low: float
    high: float


def fit(sizes: Sequence[float], seconds: Sequence[float]) -> Slope:
    """Return the slope of log(seconds) on log(sizes), at least three of them."""
    x, y = np.log(np.asarray(sizes, float)), np.log(np.asarray(seconds, float))
    slope, start = np.polyfit(x, y, 1)
    left, spread = y - start - slope * x, x - x.mean()
    reach = stats.t.ppf(0.975, len(x) - 2) * np.sqrt(left @ left / (len(x) - 2) / (spread @ spread))
    return Slope(float(slope), float(slope - reach), float(slope + reach))


def doublings(sizes: Sequence[float], seconds: Sequence[float]) -> list[float]:
    """Return the exponent between each point and the next: 1 where twice the size takes twice the time."""
    steps: list[float] = (np.diff(np.log(seconds)) / np.diff(np.log(sizes))).tolist()
    return steps


def judged(points: Mapping[str, Any]) -> dict[str, Any]:
    """Return an axis's points with its slope, its doublings, and whether the bar is met."""
    found = fit(points["sizes"], points["seconds"])
    bar = BUCKETS_BAR if points["name"] == BUCKETS else BAR
    steps = doublings(points["sizes"], points["seconds"])
    return {**points, "fit": asdict(found), "doublings": steps, "bar": bar, "met": found.slope <= bar}


def measure(home: Path, fast: bool) -> dict[str, Any]:
    """Return every axis's points and fits, the overhead of a bucket, the flatness of memory, and the load."""
    before = load()
    command = [sys.executable, "-m", "benchmarks.speed.growth_points", "--home", str(home), *(["--fast"] if fast else [])]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"error: {' '.join(command)} ended with {done.returncode}; nothing is reported")
    lines = done.stdout.strip().splitlines()
    print("\n".join(lines[:-1]), flush=True)
    axes = [judged(points) for points in json.loads(lines[-1])]
    by_name = {axis["name"]: axis for axis in axes}
    peaks, buckets = by_name[CUSTOMERS]["peak_mb"], by_name[BUCKETS]
    return {
        "axes": axes,
        "a_bucket_s": float(np.polyfit(buckets["sizes"], buckets["seconds"], 1)[0]),
        "peak_ratio": peaks[-1] / peaks[0],
        "flat": peaks[-1] <= FLAT * peaks[0],
        "rounds": len(axes[0]["rounds"]),
        "load": [before, load()],
    }


def table(result: Mapping[str, Any]) -> list[str]:
    """Return the figures as Markdown."""
    lines = []
    for axis in result["axes"]:
        sizes, seconds, found = axis["sizes"], axis["seconds"], axis["fit"]
        slope = f"{found['slope']:.2f} ({found['low']:.2f} to {found['high']:.2f})"
        ends = f"{sizes[0]:,.0f} to {sizes[-1]:,.0f}", f"{seconds[0]:.3f} to {seconds[-1]:.3f}"
        lines.append([axis["name"], *ends, slope, f"{max(axis['doublings']):.2f}", axis["bar"], "yes" if axis["met"] else "NO"])
    title = ["doubled", "from … to", "processor seconds", "slope (95%)", "steepest doubling", "bar", "met"]
    return [
        "What scoring costs when one thing is doubled and the rest stays; and what its memory follows.",
        "",
        *rows_of(title, lines),
        "",
        _memory(result),
        f"Median of {result['rounds']} interleaved rounds; load average {result['load'][0]:.1f} to {result['load'][1]:.1f}.",
    ]


def _memory(result: Mapping[str, Any]) -> str:
    by_name = {axis["name"]: axis for axis in result["axes"]}
    customers, buckets = by_name[CUSTOMERS], by_name[BUCKETS]
    few, many = customers["peak_mb"][0], customers["peak_mb"][-1]
    return (
        f"A bucket more costs {result['a_bucket_s'] * 1e3:.1f} ms of a processor.  "
        f"Peak memory of {customers['sizes'][0]:,} customers {few:,.0f} MB, of {customers['sizes'][-1]:,} in buckets of the same "
        f"size {many:,.0f} MB: × {result['peak_ratio']:.2f} (bar {FLAT}, met: {'yes' if result['flat'] else 'NO'}).  "
        f"The same customers in {buckets['sizes'][-1]} buckets: {buckets['peak_mb'][-1]:,.0f} MB, "
        f"in {buckets['sizes'][0]}: {buckets['peak_mb'][0]:,.0f} MB."
    )


def main() -> None:
    """Measure and print the table; or draw the last result."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--home", type=Path, default=Path("var/bench/growth"))
    parser.add_argument("--fast", action="store_true", help="three sizes instead of six, one round, an eighth of the features")
    parser.add_argument("--picture", action="store_true", help=f"draw the last result as {PICTURE.relative_to(ROOT)}")
    arguments = parser.parse_args()
    kept = arguments.home / "result.json"
    if not (arguments.picture and kept.is_file()):
        result = measure(arguments.home, arguments.fast)
        kept.write_text(json.dumps(result, indent=1))
        print("\n".join(table(result)))
    if arguments.picture:
        PICTURE.write_text(picture(json.loads(kept.read_text())))
        print(f"wrote {PICTURE.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
