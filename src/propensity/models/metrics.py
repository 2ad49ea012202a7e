"""How well scores (N, C) rank what customers did: targets (N, C) of 0 and 1."""

from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score

from propensity.features.csr import FloatArray


@dataclass(frozen=True)
class Judgement:
    """The figures that models are compared by.  NaN where the window has nothing to tell."""

    macro_auc: float
    """Mean area under the ROC curve of the categories with enough positives."""
    micro_auc: float
    """Area under the ROC curve of all (customer, category) pairs."""
    micro_ap: float
    """Average precision of all pairs."""
    recall: float
    """Highest share of all positives found at the expected precision or better."""
    recall_at_half: float
    """The same at precision 0.5."""
    categories: int
    """How many categories the macro figure averages."""
    positives: int
    customers: int

    def as_dict(self) -> dict[str, float]:
        """Return the figures by name."""
        return asdict(self)


def judge(targets: FloatArray, scores: FloatArray, min_positives: int, expected_precision: float = 0.5) -> Judgement:
    """Return the figures of scores (N, C) against targets (N, C)."""
    per_category = category_auc(targets, scores, min_positives)
    told = ~np.isnan(per_category)
    flat_targets, flat_scores = targets.ravel(), scores.ravel()
    positives = int(flat_targets.sum())
    mixed = 0 < positives < flat_targets.size
    return Judgement(
        macro_auc=float(per_category[told].mean()) if told.any() else float("nan"),
        micro_auc=float(roc_auc_score(flat_targets, flat_scores)) if mixed else float("nan"),
        micro_ap=float(average_precision_score(flat_targets, flat_scores)) if positives else float("nan"),
        recall=recall_at_precision(flat_targets, flat_scores, expected_precision),
        recall_at_half=recall_at_precision(flat_targets, flat_scores, 0.5),
        categories=int(told.sum()),
        positives=positives,
        customers=len(targets),
    )


def category_auc(targets: FloatArray, scores: FloatArray, min_positives: int) -> npt.NDArray[np.float64]:
    """Return each category's area under the ROC curve (C,); NaN with fewer positives than that, or no negative."""
    counts = targets.sum(0)
    result = np.full(targets.shape[1], np.nan)
    for column in np.flatnonzero((counts >= min_positives) & (counts > 0) & (counts < len(targets))):
        result[column] = roc_auc_score(targets[:, column], scores[:, column])
    return result


def recall_at_precision(targets: FloatArray, scores: FloatArray, precision: float) -> float:
    """Return the highest recall among the thresholds whose precision is at least that; 0 where there is none."""
    if not targets.any():
        return float("nan")
    precisions, recalls, _ = precision_recall_curve(targets, scores)
    # The curve's last point, precision 1 at recall 0, belongs to no threshold; it adds nothing to the maximum.
    return float(recalls[precisions >= precision].max(initial=0.0))


def threshold_at(targets: FloatArray, scores: FloatArray, precision: float) -> float:
    """Return the threshold with the highest recall among those whose precision is at least that; inf where there is none."""
    if not targets.any():
        return float("inf")
    precisions, recalls, thresholds = precision_recall_curve(targets, scores)
    enough = np.flatnonzero(precisions[:-1] >= precision)
    return float(thresholds[enough[np.argmax(recalls[enough])]]) if len(enough) else float("inf")


def curve(targets: FloatArray, scores: FloatArray, points: int = 200) -> list[tuple[float, float]]:
    """Return (recall, precision) along all pairs, thinned to about so many points."""
    precisions, recalls, _ = precision_recall_curve(targets.ravel(), scores.ravel())
    precisions, recalls = precisions[:-1], recalls[:-1]  # the last point, precision 1 at recall 0, belongs to no threshold
    order = np.unique(np.searchsorted(-recalls, -np.linspace(1.0, 0.0, points)).clip(0, len(recalls) - 1))
    return [(round(float(recalls[i]), 5), round(float(precisions[i]), 5)) for i in order]
