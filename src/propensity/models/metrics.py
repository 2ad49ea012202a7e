"""How well scores (N, C) rank what customers did: targets (N, C) of 0 and 1."""

from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score

from propensity.features.csr import FloatArray

Mask = npt.NDArray[np.bool_]
TOP = 10
"""How many categories of a customer precision at 10 looks at."""


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
    recall_at_70: float
    """The same at precision 0.7."""
    precision_at_10: float
    """Share of each customer's ten likeliest categories that they acted in, mean over the customers."""
    categories: int
    """How many categories the macro figure averages."""
    positives: int
    customers: int

    def as_dict(self) -> dict[str, float]:
        """Return the figures by name."""
        return asdict(self)


def judge(
    targets: FloatArray, scores: FloatArray, min_positives: int, expected_precision: float = 0.5, mask: Mask | None = None
) -> Judgement:
    """Return the figures of scores (N, C) against targets (N, C); with a mask (N, C) of the pairs where it is true only.

    `customers` are then those with at least one such pair.
    """
    per_category = category_auc(targets, scores, min_positives, mask)
    told = ~np.isnan(per_category)
    flat_targets, flat_scores = (targets.ravel(), scores.ravel()) if mask is None else (targets[mask], scores[mask])
    precisions = top_precision(targets, scores, mask)
    positives = int(flat_targets.sum())
    mixed = 0 < positives < flat_targets.size
    return Judgement(
        macro_auc=float(per_category[told].mean()) if told.any() else float("nan"),
        micro_auc=float(roc_auc_score(flat_targets, flat_scores)) if mixed else float("nan"),
        micro_ap=float(average_precision_score(flat_targets, flat_scores)) if positives else float("nan"),
        recall=recall_at_precision(flat_targets, flat_scores, expected_precision),
        recall_at_half=recall_at_precision(flat_targets, flat_scores, 0.5),
        recall_at_70=recall_at_precision(flat_targets, flat_scores, 0.7),
        precision_at_10=float(np.nanmean(precisions)) if positives else float("nan"),
        categories=int(told.sum()),
        positives=positives,
        customers=int((~np.isnan(precisions)).sum()),
    )


def category_auc(
    targets: FloatArray, scores: FloatArray, min_positives: int, mask: Mask | None = None
) -> npt.NDArray[np.float64]:
    """Return each category's area under the ROC curve (C,); NaN with fewer positives than that, or no negative."""
    counted = np.ones(targets.shape, bool) if mask is None else mask
    positives, pairs = (targets * counted).sum(0), counted.sum(0)
    result = np.full(targets.shape[1], np.nan)
    for column in np.flatnonzero((positives >= min_positives) & (positives > 0) & (positives < pairs)):
        rows = counted[:, column]
        result[column] = roc_auc_score(targets[rows, column], scores[rows, column])
    return result


def top_precision(targets: FloatArray, scores: FloatArray, mask: Mask | None = None) -> npt.NDArray[np.float64]:
    """Return the share acted on of each customer's ten likeliest categories (N,), or of all when fewer count; NaN with none.

    Categories that tie for the last places share them: each counts by the chance that a random order gives it a place.
    """
    kept = scores.astype(np.float64) if mask is None else np.where(mask, scores, -np.inf)
    counted = np.full(len(scores), scores.shape[1]) if mask is None else mask.sum(1)
    places = np.minimum(counted, TOP)
    lowest = -np.sort(-kept, axis=1)[np.arange(len(kept)), np.maximum(places, 1) - 1][:, None]
    above, tied = kept > lowest, (kept == lowest) & (True if mask is None else mask)
    share = (places - above.sum(1)) / np.maximum(tied.sum(1), 1)
    hits = (targets * above).sum(1) + share * (targets * tied).sum(1)
    return np.where(places > 0, hits / np.maximum(places, 1), np.nan)


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
