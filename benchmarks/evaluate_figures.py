"""What the backtest comes to: figures of every window, their mean, intervals over households, and the bars."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from benchmarks.evaluate_origins import EACH, OURS
from propensity.evaluation.bootstrap import MEASURES, Weights, interval, mean_told, multiplicities, resampled, resampled_areas
from propensity.features.csr import FloatArray
from propensity.models.metrics import Mask

Values: TypeAlias = npt.NDArray[np.float64]
Drawn: TypeAlias = dict[str, dict[str, dict[str, Values]]]
"""Slice, model, measure -> (1 + R,): the figure itself, then the figure of every resample."""
ALL, REPEAT, EXPLORE = "all", "repeat", "explore"
SLICES = (ALL, REPEAT, EXPLORE)
SURE = ("macro_auc", "micro_ap")
"""Measures in which the interval of the difference to the best other has to lie above zero."""
GOAL = 1.065
"""Macro AUC over that of XGBoost per category."""


@dataclass(frozen=True)
class Window:
    """One held-out window with every model's scores (N, C)."""

    users: npt.NDArray[np.int64]
    targets: FloatArray
    before: Mask
    """(N, C) whether the customer acted in the category before."""
    scores: Mapping[str, FloatArray]
    modelled: npt.NDArray[np.bool_]
    """(C,) which categories have an XGBoost model of their own."""


def weights_of(windows: Sequence[npt.NDArray[np.int64]], resamples: int, seed: int) -> list[Weights]:
    """Return how often each window's households are drawn (1 + R, N), the sample itself first; one draw serves every window."""
    households = np.unique(np.concatenate(windows))
    drawn = multiplicities(len(households), resamples, seed)
    drawn = np.concatenate([np.ones((1, len(households)), drawn.dtype), drawn])
    return [np.ascontiguousarray(drawn[:, np.searchsorted(households, users)]) for users in windows]


def judge_window(window: Window, weights: Weights, least: int) -> tuple[Drawn, dict[str, Values]]:
    """Return every figure of a window, and the macro AUC of ours and of XGBoost on the categories that both model."""
    masks: dict[str, Mask | None] = {ALL: None, REPEAT: window.before, EXPLORE: ~window.before}
    told = {
        part: {name: resampled(window.targets, scores, weights, least, mask) for name, scores in window.scores.items()}
        for part, mask in masks.items()
    }
    columns = np.flatnonzero(window.modelled)
    targets = window.targets[:, columns]
    pair = {name: mean_told(resampled_areas(targets, window.scores[name][:, columns], weights, least)) for name in (OURS, EACH)}
    return told, pair


def mean_of(windows: Sequence[Drawn]) -> Drawn:
    """Return the mean over the windows of every figure and every resample of it."""
    first = windows[0]
    return {
        part: {name: {m: np.mean([w[part][name][m] for w in windows], axis=0) for m in MEASURES} for name in first[part]}
        for part in first
    }


def best_other(drawn: Drawn, part: str, measure: str, without: Sequence[str] = ()) -> str:
    """Return the model with the highest figure besides ours."""
    others = [name for name in drawn[part] if name != OURS and name not in without]
    return max(others, key=lambda name: drawn[part][name][measure][0])


def summary(drawn: Drawn, without: Sequence[str] = ()) -> dict[str, Any]:
    """Return figures with intervals, ours less each other's, and ours less the best other's."""
    result: dict[str, Any] = {}
    for part, models in drawn.items():
        result[part] = {
            "figures": {n: {m: _told(v[m]) for m in MEASURES} for n, v in models.items() if n not in without},
            "differences": {
                n: {m: _told(models[OURS][m] - v[m]) for m in MEASURES} for n, v in models.items() if n not in (OURS, *without)
            },
            "best_other": {m: best_other(drawn, part, m, without) for m in MEASURES},
        }
    return result


def _told(values: Values) -> list[float]:
    return [float(values[0]), *interval(values[1:])]


def ratio_of(windows: Sequence[Mapping[str, Values]]) -> dict[str, Any]:
    """Return the mean macro AUC of ours and of XGBoost per category on the same categories, and the ratio with its interval."""
    ours, each = (np.mean([w[name] for w in windows], axis=0) for name in (OURS, EACH))
    return {OURS: _told(ours), EACH: _told(each), "ratio": _told(ours / each), "goal": GOAL}


def bars(told: Mapping[str, Any], calibration: float, kept: float, above: float) -> list[tuple[str, bool]]:
    """Return each bar in words and whether it is met.  Being first means that no other model is above.

    Promises are `kept` where precision is not significantly below; that it is at or `above` the promise is told beside it.
    """
    result = []
    for part in told:
        behind = [m for m in MEASURES if told[part]["differences"][told[part]["best_other"][m]][m][0] < 0]
        result.append(
            (f"ours first in every column, {part} pairs" + (f" (not in {', '.join(behind)})" if behind else ""), not behind)
        )
    for measure in SURE:
        name = told[ALL]["best_other"][measure]
        gap, low, high = told[ALL]["differences"][name][measure]
        result.append((f"{measure}: ours less {name} {gap:+.4f} [{low:+.4f}, {high:+.4f}] above zero", low > 0))
    result.append((f"calibration error {calibration:.4f} at most 0.01", calibration <= 0.01))
    said = f"promised precision kept (not significantly below, binomial test) in {kept:.1%} of the categories, at least 95%"
    result.append((f"{said}; at or above it in {above:.1%}", kept >= 0.95))
    return result
