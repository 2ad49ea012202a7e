"""Will a household redeem a coupon in the next 28 days?  The field-embedding network, judged against XGBoost on the same rows.

The real jobs run for both; a logistic regression and a simple rule stand beside them.  The window from 2017-12-04 is held out.
Everything that is chosen (when to stop, the settings in ``benchmarks/redemption/models.yaml``, the thresholds) is chosen on
windows before it: thresholds on the one from 2017-11-06.
"""

import argparse
import datetime as dt
import json
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import yaml
from sklearn.linear_model import LogisticRegression

from benchmarks.running import ROOT, make_model, make_tables
from propensity.config import Config, load_config, parse_date
from propensity.evaluation.baselines import decayed_frequency
from propensity.evaluation.held_out import HeldOut, held_out
from propensity.features import tokens
from propensity.features.windows import training_cutoffs
from propensity.models.boosting import matrix
from propensity.models.data import Examples, TrainingTables, concat_examples
from propensity.models.encoding import Encoder
from propensity.models.family import FAMILIES, Task
from propensity.models.loading import load_pipeline
from propensity.models.metrics import threshold_at
from propensity.models.recipe import fit_encoder
from propensity.models.versions import bundle_folder
from propensity.models.windows import read_examples
from propensity.storage import Lake

CONF = ROOT / "benchmarks" / "redemption"
SCORE_DATE, REGION = "2018-01-01", "all"
OURS, PEER, LINEAR, TRIVIAL = "field_embedding", "xgboost", "linear", "redeemed before"
TITLES = {
    OURS: "field-embedding network",
    PEER: "XGBoost",
    LINEAR: "logistic regression",
    TRIVIAL: "redeemed before, recent days weigh more",
}
STRENGTHS = (0.001, 0.003, 0.01, 0.03, 0.1)
"""Inverse penalties of the logistic regression; the validation window chooses."""
LEVELS = (0.2, 0.3)
"""Expected precisions, fixed before anything was scored: about six and nine times the 3.5% of households that redeem in an
average window of training."""
RESAMPLES, SEED = 2000, 0

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Judged:
    """One model on the held-out window, with its figures on each resample of the households (R,)."""

    auc: float
    aucs: Array
    at: Mapping[float, "AtLevel"]


@dataclass(frozen=True)
class AtLevel:
    """What picking every household above the validation window's threshold comes to."""

    recall: float
    precision: float
    picked: int
    recalls: Array
    precisions: Array


def main(argv: Sequence[str] | None = None) -> int:
    """Run the jobs for both families, judge, print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="*", default=[], help="train both with these seeds as well; tell the AUCs")
    seeds = parser.parse_args(argv).seeds
    make_tables(CONF, REGION, SCORE_DATE)
    lake = Lake(load_config(CONF))
    tables, day = TrainingTables(lake, REGION), parse_date(SCORE_DATE)
    validation = held_out(tables, day - dt.timedelta(days=lake.config.features.horizon_days))
    test = held_out(tables, day)
    encoder, windows = learned_from(tables)
    scores = {TRIVIAL: (trivial(lake, validation), trivial(lake, test)), LINEAR: linear(encoder, windows, validation, test)}
    for kind in (OURS, PEER):
        conf = configuration(kind, lake.config.home / "conf")
        version = make_model(conf, REGION, SCORE_DATE)["version"]
        model = load_pipeline(bundle_folder(lake.config, REGION, version)).predictor
        scores[kind] = (validation.scores(model)[0][:, 0], test.scores(model)[0][:, 0])
    weights = resamples(len(test.users))
    targets = validation.targets[:, 0], test.targets[:, 0]
    judged = {name: judge_one(targets, pair, weights) for name, pair in scores.items()}
    print("\n".join(["", *lines_of(judged, validation, test), ""]))
    (lake.config.home / "redemption.json").write_text(json.dumps(figures(judged), indent=1))
    for kind in (OURS, PEER) if seeds else ():
        areas = zip(seeds, other_seeds(encoder, windows, test, configured(lake.config, kind), seeds), strict=True)
        aucs = ", ".join(f"{seed}: {area:.3f}" for seed, area in areas)
        print(f"{TITLES[kind]}, AUC on the held-out window by seed: {aucs}", flush=True)
    return 0


def learned_from(tables: TrainingTables) -> tuple[Encoder, list[Examples]]:
    """Return the features that are frequent enough, and each window's rows but the held-out one's, newest first."""
    earlier = training_cutoffs(tables.config, parse_date(SCORE_DATE))[1:]
    encoder = fit_encoder(tables, earlier, history=False)
    return encoder, [read_examples(tables, day, encoder) for day in earlier]


def linear(encoder: Encoder, windows: Sequence[Examples], validation: HeldOut, test: HeldOut) -> tuple[Any, Any]:
    """Return a logistic regression's scores of both windows, learned from what the others learn from."""
    width, rows = len(encoder.features), concat_examples(windows[1:])
    inputs, targets = matrix(rows.encoded.sparse, width), rows.targets()[:, 0]
    pair = [matrix(encoder.features.dense_rows(window.features)[0], width) for window in (validation, test)]
    once, best = np.ones((1, len(validation.users))), (0.0, np.zeros(0), np.zeros(0))
    for strength in STRENGTHS:
        model = LogisticRegression(C=strength, max_iter=500).fit(inputs, targets)
        before, after = (model.decision_function(part) for part in pair)
        area = float(weighted_auc(validation.targets[:, 0], before, once)[0])
        best = max(best, (area, before, after), key=lambda found: found[0])
    return best[1:]


def other_seeds(
    encoder: Encoder, windows: Sequence[Examples], test: HeldOut, config: Config, seeds: Sequence[int]
) -> Iterator[float]:
    """Yield the AUC on the held-out window of a family trained with each seed; nothing is chosen by it."""
    family, vocabulary = import_module(FAMILIES[config.models.kind]), tokens.load(Lake(config))
    for seed in seeds:
        chosen = config.model_copy(update={"models": config.models.model_copy(update={"seed": seed})})
        learned = family.learn(Task(chosen, encoder, vocabulary, windows, "cpu", lambda _: None))
        scores = test.scores(learned.predictor)[0][:, 0]
        yield float(weighted_auc(test.targets[:, 0], scores, np.ones((1, len(scores))))[0])


def configured(config: Config, kind: str) -> Config:
    """Return the configuration with another family."""
    return config.model_copy(update={"models": config.models.model_copy(update={"kind": kind})})


def configuration(kind: str, below: Path) -> Path:
    """Return the configuration folder for a family: the benchmark's own, or a copy in which `models.kind` alone is another."""
    content = yaml.safe_load((CONF / "models.yaml").read_text())
    if content["kind"] == kind:
        return CONF
    folder = below / kind
    shutil.copytree(CONF, folder, dirs_exist_ok=True)
    (folder / "models.yaml").write_text(yaml.safe_dump({**content, "kind": kind}))
    return folder


def trivial(lake: Lake, window: HeldOut) -> Any:
    """Return the baseline's scores (N,): days with a redemption by fortnight, recent ones weighing more."""
    nothing = np.zeros(len(window.categories), np.float32)
    return decayed_frequency(lake, REGION, window.cutoff, window.users, window.categories, nothing)[:, 0]


def resamples(households: int) -> Array:
    """Return how often each household is in each resample: (R, N).  All models are judged on the same ones: pairs."""
    drawn = np.random.default_rng(SEED).integers(0, households, (RESAMPLES, households))
    return np.stack([np.bincount(row, minlength=households) for row in drawn]).astype(np.float64)


def judge_one(targets: tuple[Any, Any], scores: tuple[Any, Any], weights: Array) -> Judged:
    """Return a model's figures; each pair is (validation window, held-out window)."""
    once = np.ones((1, len(scores[1])))
    at = {}
    for level in LEVELS:
        picked = scores[1] >= threshold_at(targets[0], scores[0], level)
        (recall,), (precision,) = hits(targets[1], picked, once)
        at[level] = AtLevel(recall, precision, int(picked.sum()), *hits(targets[1], picked, weights))
    return Judged(float(weighted_auc(targets[1], scores[1], once)[0]), weighted_auc(targets[1], scores[1], weights), at)


def hits(targets: Any, picked: Any, weights: Array) -> tuple[Array, Array]:
    """Return recall and precision of what is picked (N,) under weights (R, N)."""
    found, wanted, taken = weights @ (targets * picked), weights @ targets, weights @ picked
    return found / np.maximum(wanted, 1), found / np.maximum(taken, 1)


def weighted_auc(targets: Any, scores: Any, weights: Array) -> Array:
    """Return the area under the ROC curve (R,) under weights (R, N); ties count half."""
    _, rank = np.unique(scores, return_inverse=True)
    order = np.argsort(rank, kind="stable")
    starts = np.searchsorted(rank[order], np.arange(rank.max() + 1))
    yes = np.add.reduceat((weights * targets)[:, order], starts, axis=1)
    no = np.add.reduceat((weights * (1 - targets))[:, order], starts, axis=1)
    below = np.cumsum(no, axis=1) - no / 2
    area: Array = (yes * below).sum(1) / (yes.sum(1) * no.sum(1))
    return area


def lines_of(judged: Mapping[str, Judged], validation: HeldOut, test: HeldOut) -> list[str]:
    """Return the result as text with a Markdown table."""
    levels = [f"recall at expected precision {level:g} | its precision | picked" for level in LEVELS]
    lines = [
        _told("validation window", validation),
        _told("held-out window", test),
        f"in brackets: 95% of {RESAMPLES:,} resamples of the held-out households, the same for all; thresholds stay as chosen",
        "",
        "| model | AUC | " + " | ".join(levels) + " |",
        "|---|---|" + "---|---|---|" * len(LEVELS),
    ]
    for name, one in judged.items():
        cells = [f"{_with(a.recall, a.recalls)} | {_with(a.precision, a.precisions)} | {a.picked}" for a in one.at.values()]
        lines.append(f"| {TITLES[name]} | {_with(one.auc, one.aucs)} | " + " | ".join(cells) + " |")
    ours, peer = judged[OURS], judged[PEER]
    cells = [_with(ours.auc - peer.auc, ours.aucs - peer.aucs, "+")]
    for a, b in zip(ours.at.values(), peer.at.values(), strict=True):
        cells += [_with(a.recall - b.recall, a.recalls - b.recalls, "+")]
        cells += [_with(a.precision - b.precision, a.precisions - b.precisions, "+"), f"{a.picked - b.picked:+d}"]
    return [*lines, f"| network less XGBoost | {' | '.join(cells)} |"]


def _told(title: str, window: HeldOut) -> str:
    count, positives = len(window.users), int(window.targets.sum())
    return f"{title} from {window.cutoff}: {count:,} households, {positives} redeem ({positives / count:.1%})"


def _with(value: float, values: Array, sign: str = "") -> str:
    low, high = np.quantile(values, (0.025, 0.975))
    return f"{value:{sign}.3f} [{low:{sign}.3f}, {high:{sign}.3f}]"


def figures(judged: Mapping[str, Judged]) -> dict[str, Any]:
    """Return the figures as they are kept."""
    kept = {name: {str(level): [a.recall, a.precision, a.picked] for level, a in one.at.items()} for name, one in judged.items()}
    return {name: {"auc": judged[name].auc, "recall_precision_picked": kept[name]} for name in judged}


if __name__ == "__main__":
    sys.exit(main())
