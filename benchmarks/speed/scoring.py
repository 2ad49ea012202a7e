"""Customers scored a second, commit included: ours through Spark, our kernel in Ray Data and in bare processes, and peers.

Every contender reads the same Parquet files, computes the same network, writes the 50 likeliest categories of each customer as
Parquet.  Each runs in a process of its own, in turns, two tasks of one thread; what it takes to start is told apart.
"""

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from benchmarks.speed.contest import in_turns, load, report, rows_of, times
from benchmarks.speed.reference_lake import DAY, REGION, Shape, reference_lake

OURS = {"ours, float32": "float32", "ours, bfloat16": "bfloat16"}
BARE = "two bare processes, bfloat16"
RAY = "Ray Data, our kernel, bfloat16"
UDF, SPARSE_UDF = "predict_batch_udf", "pandas UDF, sparse tensors"
LIMIT = "matrix products and embedding rows alone, bfloat16"
NAMES = (*OURS, BARE, RAY, UDF, SPARSE_UDF, LIMIT)
SHARE = {UDF: 10, SPARSE_UDF: 10}
"""These score one customer in so many: they take a hundred microseconds and more for each."""
FEWER = {"ours, float32": 2, RAY: 2, UDF: 2, SPARSE_UDF: 1}
"""Turns of those who take half a minute each, and of float32, whose ratio is not what is asked."""
QUICK = (*OURS, BARE, LIMIT, UDF)
"""Contenders of a first look: the others take twenty seconds and more to start."""
TASKS = 2


def start(name: str, home: Path, shape: Shape) -> Callable[[], object]:
    """Start what a contender needs; return its work."""
    precision = OURS.get(name, "bfloat16")
    lake, champion = reference_lake(home, shape, precision)
    if name in OURS:
        return _ours(lake, champion)
    if name == BARE:
        return _bare(lake, champion)
    if name == LIMIT:
        from benchmarks.speed.scoring_tasks import products
        from propensity.engine.worker_model import model_of

        return products(lake, model_of(champion, lake.config, "bfloat16"))
    from benchmarks.speed import scoring_peers as peers

    return {RAY: peers.ray_data, UDF: peers.predict_udf, SPARSE_UDF: peers.sparse_udf}[name](lake, champion)


def _ours(lake: Any, champion: Any) -> Callable[[], object]:
    from benchmarks.speed.scoring_tasks import warm_up
    from propensity.contracts import FEATURES, SCORES
    from propensity.engine.buckets import map_buckets
    from propensity.engine.scoring import score_region

    # Workers stay, so each loads its model and scores some customers before the clock runs, as everybody's do.
    files = lake.files(FEATURES, region=REGION, score_date=DAY.isoformat())
    map_buckets(lake.config, warm_up, files[: 2 * TASKS], (lake, champion), "starting")

    def work() -> None:
        staged, _ = score_region(lake, REGION, DAY, champion, force=True, small=0)
        lake.commit(SCORES, staged.files, {"region": REGION, "score_date": DAY.isoformat()}, {"run": os.urandom(8).hex()})

    return work


def _bare(lake: Any, champion: Any) -> Callable[[], object]:
    from benchmarks.speed import scoring_tasks as tasks
    from propensity.contracts import FEATURES

    files = lake.files(FEATURES, region=REGION, score_date=DAY.isoformat())
    pool = ProcessPoolExecutor(TASKS, get_context("spawn"), tasks.prepare, (lake, champion, "bfloat16"))
    list(pool.map(tasks.ready, files[: 4 * TASKS]))
    return lambda: sum(pool.map(tasks.score_file, files))


def measure(home: Path, fast: bool, users: int | None = None) -> dict[str, Any]:
    """Return every contender's figures, all of them in the same turns."""
    many = users or (100_000 if fast else 400_000)
    rounds, before, names = 1 if fast else 3, load(), QUICK if fast else NAMES
    for share in sorted({SHARE.get(name, 1) for name in names}):
        for precision in ("float32", "bfloat16"):
            reference_lake(home, Shape(many // share), precision)
    found = in_turns("benchmarks.speed.scoring", names, ["--home", str(home), "--users", str(many)], rounds, fewer=FEWER)
    counts = {name: many // SHARE.get(name, 1) for name in names}
    result = {name: {**f, "users": counts[name], "users_s": counts[name] / f["run_s"]} for name, f in found.items()}
    return {"contenders": result, "rounds": rounds, "load": [before, load()]}


def table(result: dict[str, Any]) -> list[str]:
    """Return the figures as Markdown."""
    found = result["contenders"]
    ours = found["ours, bfloat16"]
    lines = []
    for name, f in found.items():
        gain = ours["users"] / f["users"] * times(ours["all_s"], f["all_s"])
        counts = [len(f["all_s"]), f"{f['users']:,}", f"{f['users_s']:,.0f}", f"{gain:.2f}"]
        lines.append([name, *counts, f"{f['start_s']:.1f}", f"{f['peak_mb']:,.0f}"])
    title = ["", "turns", "customers", "customers a second", "ours in bfloat16 is × this", "start, s", "peak memory, MB"]
    return [
        *rows_of(title, lines), "",
        "Medians of the turns; × is the median of the ratios within a round; load average "
        f"{result['load'][0]:.1f} to {result['load'][1]:.1f}.",
    ]  # fmt: skip


def main(argv: Sequence[str] | None = None) -> int:
    """Run one contender, or all of them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("name", nargs="?", choices=NAMES)
    parser.add_argument("--home", type=Path, default=Path("var/bench/scoring"))
    parser.add_argument("--users", type=int)
    parser.add_argument("--fast", action="store_true")
    arguments = parser.parse_args(argv)
    if arguments.name:
        report(lambda: start(arguments.name, arguments.home, Shape(arguments.users // SHARE.get(arguments.name, 1))))
        return 0
    result = measure(arguments.home, arguments.fast, arguments.users)
    print("\n".join(table(result)))
    (arguments.home / "scoring.json").write_text(json.dumps(result, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
