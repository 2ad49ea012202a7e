"""Judge ours beside five peers over held-out windows on the undivided Complete Journey data (docs/evaluation.md).

The pipeline's own jobs make tables and models.  Each origin learns from the windows before its held-out one; intervals are the
paired bootstrap over households.  ``--fast`` takes one window and a sample of the categories for XGBoost per category.
"""

import argparse
import json
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import campaigns
from benchmarks.evaluate_figures import SLICES, Window, bars, judge_window, mean_of, ratio_of, summary, weights_of
from benchmarks.evaluate_origins import (
    CONF,
    EACH,
    ORIGINS,
    OURS,
    PROCESSES,
    Folders,
    Origin,
    learn_all,
    make_all_tables,
    origins,
    read_peers,
    tables_of,
)
from benchmarks.evaluate_tables import goal_line, rungs_table, table_of, windows_table
from benchmarks.running import say
from propensity.config import load_config
from propensity.evaluation.by_category import promises
from propensity.evaluation.held_out import HeldOut, held_out
from propensity.evaluation.rungs import rung_figures
from propensity.evaluation.slices import acted_before
from propensity.models.calibration import calibration_error
from propensity.models.loading import load_pipeline
from propensity.pipeline.predictor import SparsePredictor
from propensity.pipeline.top_k import sigmoid

RESAMPLES, SEED = 500, 0
FAST_RESAMPLES, FAST_CATEGORIES = 100, 24


def main(argv: Sequence[str] | None = None) -> int:
    """Learn, judge, print the tables and the bars; exit status 1 when a bar is missed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--fast", action="store_true", help="one window, fewer resamples, less for XGBoost to learn from")
    parser.add_argument("--force", action="store_true", help="learn again what the same inputs have made before")
    parser.add_argument("--processes", type=int, default=PROCESSES, help="how many models are learned side by side")
    arguments = parser.parse_args(argv)
    result = measure(arguments)
    print("\n".join(["", *lines_of(result)]))
    (load_config(CONF).home / ("evaluate-fast.json" if arguments.fast else "evaluate.json")).write_text(
        json.dumps(result, indent=1)
    )
    return 0 if all(met for _, met in result["bars"]) else 1


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return everything that is told."""
    started = time.monotonic()
    judged = origins(1 if arguments.fast else ORIGINS)
    more = () if arguments.fast else campaigns.EXTRA
    sample = FAST_CATEGORIES if arguments.fast else None
    make_all_tables([*judged, *more])
    seconds = {"tables": time.monotonic() - started}
    bundles, peers, spent = learn_all(judged, more, sample, arguments.force, arguments.processes)
    seconds.update(spent)
    clock = time.monotonic()
    told = judge_all(judged, bundles, peers, arguments.fast, arguments.processes)
    seconds["judging"] = time.monotonic() - clock
    told["campaigns"] = None if arguments.fast else campaigns.measure(bundles)
    seconds["whole command"] = time.monotonic() - started
    return {**told, "seconds": {name: round(value, 1) for name, value in seconds.items()}}


def judge_all(
    judged: Sequence[Origin], bundles: Mapping[Origin, Path], peers: Mapping[Origin, Folders], fast: bool, processes: int
) -> dict[str, Any]:
    """Return the backtest's figures; the windows are judged side by side.  In short XGBoost per category is not compared."""
    least = load_config(CONF).models.promotion.min_positives
    incomplete, resamples = ((EACH,), FAST_RESAMPLES) if fast else ((), RESAMPLES)
    windows, extras = [], []
    for origin in judged:
        say(f"scoring the window from {origin.cutoff}")
        held = held_out(tables_of(origin), origin.score_date)
        model = load_pipeline(bundles[origin]).predictor
        ours = held.scores(model)[0]
        others, modelled = read_peers(peers[origin])
        before = acted_before(held.features, held.categories)
        windows.append(Window(held.users.to_numpy(), held.targets, before, {**others, OURS: ours}, modelled))
        extras.append(_kept(held, model, ours, least))
    weights = weights_of([w.users for w in windows], resamples, SEED)
    with ProcessPoolExecutor(processes, get_context("spawn")) as pool:
        drawn, pairs = zip(*pool.map(judge_window, windows, weights, [least] * len(windows)), strict=True)
    told = summary(mean_of(drawn), incomplete)
    calibration = float(np.mean([e["calibration_error"] for e in extras]))
    above, share = (sum(e[name] for e in extras) / max(sum(e["judged"] for e in extras), 1) for name in ("above", "kept"))
    by_window = {
        str(origin.cutoff): {**extra, "figures": _points(one, incomplete), "modelled": int(window.modelled.sum())}
        for origin, extra, one, window in zip(judged, extras, drawn, windows, strict=True)
    }
    newest = held_out(tables_of(judged[0]), judged[0].score_date)
    settings = load_config(CONF).models.promotion
    return {
        "mean": told,
        "windows": by_window,
        "goal": ratio_of(pairs),
        "calibration_error": calibration,
        "promises_kept": share,
        "promises_above": above,
        "rungs": rung_figures(newest, load_pipeline(bundles[judged[0]]).predictor, settings),
        "bars": bars(told, calibration, share, above),
        "resamples": resamples,
        "versions": {str(origin.cutoff): bundles[origin].name for origin in judged},
    }


def _kept(held: HeldOut, model: SparsePredictor, logits: Any, least: int) -> dict[str, Any]:
    """Return ours' calibration error, and in how many categories with enough picks precision is above, or kept, as promised."""
    probabilities = sigmoid(logits)
    told: list[dict[str, Any]] = []
    if model.thresholds is not None:
        values = held.align(model.thresholds.values, model.categories, np.float32(np.inf))
        told = promises(held.targets, probabilities, replace(model.thresholds, values=values), least)
    counts = {name: sum(p[name] for p in told) for name in ("judged", "above", "kept")}
    return {"calibration_error": calibration_error(held.targets, probabilities), **counts, "promises": told}


def _points(drawn: Any, without: Sequence[str]) -> dict[str, Any]:
    return {
        part: {name: {m: float(v[0]) for m, v in f.items()} for name, f in models.items() if name not in without}
        for part, models in drawn.items()
    }


def lines_of(result: Mapping[str, Any]) -> list[str]:
    """Return the result as text with Markdown tables."""
    lines = [
        f"mean over {len(result['windows'])} held-out windows; intervals: 95% of {result['resamples']} resamples of households",
        "",
    ]
    for part in SLICES:
        lines += table_of(result["mean"], part)
    lines += windows_table(result["windows"]) + rungs_table(result["rungs"])
    lines += [goal_line(result["goal"]), ""]
    if result["campaigns"] is not None:
        lines += campaigns.lines_of(result["campaigns"])
    lines += ["seconds: " + ", ".join(f"{name} {value:.0f}" for name, value in result["seconds"].items()), ""]
    return [*lines, *(f"{'met' if met else 'MISSED'}: {text}" for text, met in result["bars"])]


if __name__ == "__main__":
    sys.exit(main())
