"""Reproduce the quality table on the undivided Complete Journey data: the real jobs, then the peers on the same rows.

The held-out window begins on 2017-12-18; thirteen earlier windows are learned from, the latest of which chooses anything
that is chosen.  ``--full`` adds XGBoost per category, which takes many minutes; ``--seeds`` trains our network again.
"""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import reproduce_peers as peers_of
from benchmarks.running import ROOT, make_model, make_tables, say
from propensity.config import load_config, parse_date
from propensity.evaluation.held_out import HeldOut, held_out, judge_scores
from propensity.evaluation.records import DECAYED, OURS, POPULARITY, Figures, read_evaluation
from propensity.models.data import TrainingTables
from propensity.models.loading import load_pipeline
from propensity.models.metrics import category_auc
from propensity.models.versions import bundle_folder
from propensity.storage import Lake

CONF = ROOT / "benchmarks" / "undivided"
SCORE_DATE = "2018-01-01"
REGION = "all"
BARS = {"macro_auc": 0.805, "micro_ap": 0.412}
FIRST_MEASURED = {
    "popularity": "0.500  0.195  0.001",
    "customer's own decayed frequency + popularity": "0.767  0.400  0.316",
    "sparse net alone, as in article A": "0.774-0.779  0.357-0.364  0.236-0.254",
    "XGBoost on (customer, category) pairs": "0.800  0.413  0.331",
    "ours: history path + sparse net": "0.807-0.809  0.416-0.417  0.337-0.340",
}
"""What the design was decided on, measured by throwaway code."""


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return every model's figures."""
    make_tables(CONF, REGION, SCORE_DATE)
    verdict = make_model(CONF, REGION, SCORE_DATE)
    lake = Lake(load_config(CONF))
    tables, day = TrainingTables(lake, REGION), parse_date(SCORE_DATE)
    window, promotion = held_out(tables, day), lake.config.models.promotion
    folder = bundle_folder(lake.config, REGION, verdict["version"])
    evaluation = read_evaluation(folder, promotion, window.cutoff) or verdict
    table: dict[str, Figures] = {
        "popularity": evaluation["table"][POPULARITY],
        "customer's own decayed frequency + popularity": evaluation["table"][DECAYED],
    }
    peers = peers_of.prepare(tables, window, day)
    say("the sparse net alone")
    table["sparse net alone, as in article A"] = judge_scores(window, peers_of.network(peers, 0, say, history=False), promotion)
    started = time.monotonic()
    table["XGBoost on (customer, category) pairs"] = judge_scores(window, peers_of.pairs(peers, 0, arguments.threads), promotion)
    say(f"XGBoost on pairs: {time.monotonic() - started:.0f} s")
    table["ours: history path + sparse net"] = evaluation["table"][OURS]
    for seed in arguments.seeds:
        say(f"ours with seed {seed}")
        table[f"ours, seed {seed}"] = judge_scores(window, peers_of.network(peers, seed, say), promotion)
    told = {"version": verdict["version"], "digest": verdict["digest"], "seed": lake.config.models.seed, "table": table}
    return {**told, "per_category": per_category(peers, folder, window, arguments.threads)} if arguments.full else told


def per_category(peers: peers_of.Peers, folder: Path, window: HeldOut, threads: int) -> dict[str, float]:
    """Return the macro AUC of XGBoost per category and of ours on the same categories."""
    scores, chosen = peers_of.each_category(peers, 0, threads, say)
    columns = window.categories.positions(peers.categories[chosen])
    ours = window.scores(load_pipeline(folder).predictor)[0][:, columns]
    targets = window.targets[:, columns]
    return {
        "categories": len(chosen),
        "xgboost": float(np.nanmean(category_auc(targets, scores, 1))),
        "ours": float(np.nanmean(category_auc(targets, ours, 1))),
    }


def lines_of(result: dict[str, Any]) -> list[str]:
    """Return the result as a Markdown table."""
    lines = [
        "| model | macro AUC | micro AP | recall at precision 0.5 | when the design was made |",
        "|---|---|---|---|---|",
    ]
    for name, f in result["table"].items():
        first = FIRST_MEASURED.get(name, "")
        lines.append(f"| {name} | {f['macro_auc']:.4f} | {f['micro_ap']:.4f} | {f['recall_at_half']:.4f} | {first} |")
    if "per_category" in result:
        each = result["per_category"]
        title = f"XGBoost per category, {each['categories']} categories (ours on those: {each['ours']:.4f})"
        lines.append(f"| {title} | {each['xgboost']:.4f} | | | 0.777 |")
    return lines


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print the table, say whether the bars are met; exit status 1 when not."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--full", action="store_true", help="also XGBoost per category (many minutes)")
    parser.add_argument("--seeds", type=int, nargs="*", default=[], help="train our network with these seeds as well")
    parser.add_argument("--threads", type=int, default=2, help="threads of XGBoost")
    result = measure(parser.parse_args(argv))
    print("\n".join(["", *lines_of(result), ""]))
    ours = result["table"]["ours: history path + sparse net"]
    met = all(ours[measure] >= bar for measure, bar in BARS.items())
    print(f"seed {result['seed']}, version {result['version']}, bundle {result['digest'][:12]}")
    print(f"bars: macro AUC {BARS['macro_auc']}, micro AP {BARS['micro_ap']}: {'met' if met else 'MISSED'}")
    (load_config(CONF).home / "reproduce.json").write_text(json.dumps(result, indent=1))
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
