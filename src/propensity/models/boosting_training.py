"""How XGBoost is trained: rounds on all windows but the newest, which stops them; the rounds up to the best one are kept.

Always on the CPU: the package that requirements.txt names knows no other device, and trees on sparse rows take seconds.
"""

from typing import Any

import numpy as np
import xgboost as xgb

from propensity.config import Models, XGBoost
from propensity.models.boosting import BASE_SCORE, BoostingPredictor, matrix
from propensity.models.data import Examples, concat_examples, popularity_logits
from propensity.models.family import Learned, Task
from propensity.models.metrics import judge

HISTORY = False
TOLD_EVERY = 10
"""Rounds between two lines of progress."""


def learn(task: Task) -> Learned:
    """Train the booster that the settings describe."""
    models, mine = task.config.models, task.config.models.xgboost
    features, categories = task.encoder.features, task.encoder.history.categories.ids
    validation, *rest = task.windows
    examples = concat_examples(rest)
    prior = popularity_logits(examples)
    task.progress(f"{len(rest)} windows to learn from, the next one to stop by")
    course: dict[str, Any] = {}
    booster = xgb.train(
        parameters(models),
        _table(examples, len(features), prior),
        num_boost_round=mine.rounds,
        evals=[(_table(validation, len(features), prior), "validation")],
        custom_metric=_Auc(models),
        callbacks=[_stop(mine), _Told(task)],
        evals_result=course,
        verbose_eval=False,
    )
    best = booster[: booster.best_iteration + 1]
    predictor = BoostingPredictor(features, categories, prior, bytes(best.save_raw("ubj")))
    figures = [{"epoch": n, "macro_auc": float(auc)} for n, auc in enumerate(course["validation"]["macro_auc"], 1)]
    seen = predictor.logits(validation.encoded.sparse)
    return Learned(predictor, {"epochs": booster.best_iteration + 1, "choosing": figures, "device": "cpu"}, seen)


def parameters(models: Models) -> dict[str, Any]:
    """Return XGBoost's parameters; for several categories each round has one tree for each."""
    mine = models.xgboost
    return {
        "objective": "binary:logistic", "tree_method": "hist", "multi_strategy": "one_output_per_tree",
        "base_score": BASE_SCORE, "disable_default_eval_metric": True,
        "max_depth": mine.depth, "eta": mine.learning_rate, "min_child_weight": mine.min_child_weight,
        "subsample": mine.subsample, "colsample_bytree": mine.column_sample, "lambda": mine.l2,
        "nthread": models.threads, "seed": models.seed, "verbosity": 1,
    }  # fmt: skip


def _table(examples: Examples, features: int, prior: Any) -> xgb.DMatrix:
    """Return the customers with their labels, and the popularity that trees are added to."""
    table = xgb.DMatrix(matrix(examples.encoded.sparse, features), label=examples.targets())
    table.set_base_margin(np.tile(prior, (len(examples), 1)))
    return table


class _Auc:
    """The figure that rounds are compared by, the same as the networks': the mean of the categories' AUC."""

    def __init__(self, models: Models) -> None:
        self.promotion = models.promotion

    def __call__(self, margins: Any, table: xgb.DMatrix) -> tuple[str, float]:
        """Return its name and value for margins (N, C), 0 where the window has nothing to tell."""
        targets = table.get_label().reshape(table.num_row(), -1)
        scores = np.asarray(margins, np.float32).reshape(targets.shape)
        figure = judge(targets, scores, self.promotion.min_positives, self.promotion.expected_precision).macro_auc
        return "macro_auc", float(np.nan_to_num(figure))


def _stop(mine: XGBoost) -> xgb.callback.EarlyStopping:
    return xgb.callback.EarlyStopping(rounds=mine.patience, metric_name="macro_auc", data_name="validation", maximize=True)


class _Told(xgb.callback.TrainingCallback):  # type: ignore[misc]
    """Tell the course of training."""

    def __init__(self, task: Task) -> None:
        self.progress = task.progress

    def after_iteration(self, model: xgb.Booster, epoch: int, evals_log: Any) -> bool:
        """Say how the validation window looks every few rounds; never stop."""
        del model
        if (epoch + 1) % TOLD_EVERY == 0:
            self.progress(f"round {epoch + 1}  validation macro AUC {evals_log['validation']['macro_auc'][-1]:.4f}")
        return False
