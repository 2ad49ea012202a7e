"""Challengers to try a promotion with: made-up scores of known quality, and bundles that something is wrong with."""

import datetime as dt
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import numpy.typing as npt

from propensity.config import Promotion, load_config
from propensity.engine import features as engine
from propensity.evaluation.bootstrap import resampled
from propensity.evaluation.promotion import Challenge, Decision, decide
from propensity.evaluation.records import BASELINES, OURS
from propensity.evaluation.trial import Duel
from propensity.features.windows import build_features, training_cutoffs
from propensity.models.loading import predictor_of
from propensity.models.registry import Champion
from propensity.models.versions import bundle_folder
from propensity.pipeline.bundle import GOLDEN, STEPS, WEIGHTS, Bundle, Golden, load_bundle, write_bundle
from propensity.storage import Lake
from tests.support.trained import SETTINGS, make_tables

DAY = dt.date(2025, 6, 30)
OLD = Champion(1, "old", "0" * 64, DAY - dt.timedelta(days=7), "it was good")
SPREAD = 1.5
"""Standard deviation of the customers' true logits within a category."""


def truth(seed: int, customers: int = 400, categories: int = 25) -> tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any]]:
    """Return targets (N, C), each category's true mean logit (C,) and the customers' deviations from it (N, C)."""
    draws = np.random.default_rng(seed)
    mean = draws.uniform(-3.5, -0.5, categories)
    own = draws.normal(0, SPREAD, (customers, categories))
    targets = draws.random((customers, categories)) < 1 / (1 + np.exp(-mean - own))
    return targets.astype(np.float32), mean, own


def seen(mean: npt.NDArray[Any], own: npt.NDArray[Any], noise: float, seed: int) -> npt.NDArray[np.float32]:
    """Return the logits of a model that sees the customers through noise, and knows how much of it there is."""
    blurred = own + np.random.default_rng([seed, 1]).normal(0, noise, own.shape)
    return (mean + blurred * SPREAD**2 / (SPREAD**2 + noise**2)).astype(np.float32)


def duel(targets: npt.NDArray[Any], ours: npt.NDArray[Any], theirs: npt.NDArray[Any] | None) -> Duel:
    """Return a duel whose customers are known by half of their categories, some by more than others."""
    before = np.random.default_rng(0).random(targets.shape) < np.linspace(0.2, 0.8, len(targets))[:, None]
    return Duel(targets, ours, theirs, before, [f"topic {n}" for n in range(targets.shape[1])])


def evaluation(ours: Mapping[str, float | None], baseline: tuple[float, float] = (0.5, 0.1)) -> dict[str, Any]:
    """Return what an evaluation says of a challenger and of the baselines."""
    figures = dict(zip(("macro_auc", "micro_ap"), baseline, strict=True))
    table = {OURS: dict(ours), **dict.fromkeys(BASELINES, figures)}
    return {"version": "new", "digest": "1" * 64, "region": "coast", "cutoff": "2025-06-20", "table": table}


def try_it(settings: Promotion, tried: Duel, champion: Champion | None = OLD, day: dt.date = DAY) -> Decision:
    """Return the decision on made-up scores, by the very function that decides on bundles."""
    figures = {"macro_auc": 0.8, "micro_ap": 0.4}
    if np.isfinite(tried.ours).all():
        once = np.ones((1, len(tried.targets)), np.int32)
        values = resampled(tried.targets, tried.ours, once, settings.min_positives)
        figures = {measure: float(values[measure][0]) for measure in figures}
    return decide(settings, Challenge(evaluation(figures), day, [champion] if champion else [], []), lambda _: tried)


def make_market(folder: Path) -> Lake:
    """Return a lake large enough to tell models apart: 400 customers, five windows to learn from."""
    network = {**SETTINGS["propensity_network"], "max_epochs": 10, "batch_size": 64}
    return make_tables(folder, 400, propensity_network=network, train_windows=5)


def copy_of(lake: Lake, folder: Path, **models: Any) -> Lake:
    """Return a copy of a lake that a test may write to, with other settings of models."""
    home = Path(shutil.copytree(lake.config.home.parent, folder / "home"))
    config = load_config(lake.config.folder, home)
    return Lake(config.model_copy(update={"models": config.models.model_copy(update=models)}))


def shift_features(lake: Lake, region: str, score_date: dt.date, days: int, cutoffs: Callable[[dt.date], bool]) -> None:
    """Build the feature rows of the chosen training cutoffs as of another day: later ones hold the label, earlier are stale."""

    def shifted(activity: Any, day: dt.date, plan: Any) -> Any:
        return build_features(activity, day + dt.timedelta(days=days) if cutoffs(day) else day, plan)

    dates = training_cutoffs(lake.config, score_date)
    # The score date and an early day widen the activity that is read to what the shifted rows are built from.
    wide = [score_date, *dates, dates[-1] - dt.timedelta(days=abs(days))]
    with mock.patch.object(engine, "build_features", shifted):
        engine.make_features(lake, region, wide, force=True)
        engine.make_labels(lake, region, dates, force=True)


def install(
    lake: Lake,
    region: str,
    bundle: Bundle,
    version: str,
    wound: Callable[[dict[str, Any]], object] = dict,
    manifest: Mapping[str, Any] | None = None,
) -> str:
    """Save a bundle as a region's version, its arrays wounded and its manifest edited, all digests right; return its digest."""
    folder = bundle_folder(lake.config, region, version)
    tensors = {name: np.array(array) for name, array in bundle.tensors.items()}
    wound(tensors)
    told = {**{k: v for k, v in bundle.manifest.items() if k not in ("files", "format")}, **(manifest or {}), "version": version}
    steps = {f"{at}.{name}": array for at, arrays in enumerate(bundle.step_tensors) for name, array in arrays.items()}
    files = dict(bundle.model_files)

    def write(golden: Golden) -> str:
        return write_bundle(folder, told, {WEIGHTS: tensors, STEPS: steps, GOLDEN: golden.arrays()}, files)

    write(bundle.golden)
    expected = predictor_of(load_bundle(folder)).predict_batch(bundle.golden.batch)
    return write(Golden(bundle.golden.batch, expected))
