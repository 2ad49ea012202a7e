"""models.yaml, section promotion: what a challenger has to show before it becomes champion."""

from pydantic import Field

from propensity.config.base import Frozen


class Promotion(Frozen):
    """When a challenger becomes champion.  docs/adr/0012 says why."""

    expected_precision: float = Field(0.5, gt=0, lt=1)
    """Recall is compared at this precision."""
    min_positives: int = Field(10, ge=1)
    """Categories with fewer positives in the held-out window stay out of the macro AUC."""
    resamples: int = Field(500, ge=400)
    """How often the held-out customers are drawn again; fewer than 400 could not pass the correction for 16 tests."""
    level: float = Field(0.95, gt=0.5, lt=1)
    """Of the intervals; 1 - level is the chance to promote a challenger that is no better, over all tests together."""
    seed: int = 0
    """Where the draws of the resamples start: the same verdict from the same figures."""
    margin: float = Field(0.02, gt=0, lt=1)
    """Not worse on all pairs: macro AUC and micro AP fall by less than this share of the champion's."""
    slice_margin: float = Field(0.05, gt=0, lt=1)
    """The same on each slice: small and large categories, new and old customers, repeat and explore pairs."""
    category_margin: float = Field(0.1, gt=0, lt=1)
    """A large category is broken when its AUC is shown to have fallen by more than this, in points of AUC."""
    category_buyers: int = Field(50, ge=1)
    """A category is large when so many customers of the held-out window acted in it."""
    calibration_error: float = Field(0.02, gt=0, lt=1)
    """The expected calibration error over all pairs, at most."""
    drift: float = Field(0.25, gt=0)
    """Population stability index of the probabilities against the champion's for the same customers, at most."""
    mean_shift: float = Field(0.3, gt=0)
    """How far the mean probability may lie from the champion's, as a share of it."""
    suspicious_gain: float = Field(0.15, gt=0, le=1)
    """A gain over the champion is suspicious when it closes more than this share of the gap to a perfect figure."""
    suspicious_gain_first: float = Field(0.4, gt=0, le=1)
    """The same over the best baseline, where the region has no champion."""
    refresh_after_days: int = Field(28, ge=1)
    """A champion so many days older than the challenger is replaced by one that is not worse: models age."""
