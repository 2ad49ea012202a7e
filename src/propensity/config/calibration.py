"""models.yaml, `calibration`: how logits become probabilities that hold, and what thresholds promise."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from propensity.config.base import Frozen

Share = Annotated[float, Field(gt=0, lt=1)]


class Calibration(Frozen):
    """A slope and an offset for each category, and thresholds at expected precisions; docs/adr/0013 says what was tried."""

    method: Literal["platt", "none"] = "platt"
    """none: probabilities as the model gives them, and no thresholds."""
    slope_strength: float = Field(300.0, gt=0)
    """How strongly a category's slope is held to the pooled one: the inverse of its prior variance."""
    offset_strength: float = Field(10.0, gt=0)
    """How strongly its offset is."""
    persistence: float = Field(0.6, ge=0, le=1)
    """Share of a category's departure from the pooled calibration that lasts beyond the window it was seen in."""
    precisions: Annotated[tuple[Share, ...], Field(min_length=1)] = (0.3, 0.5, 0.7)
    """What thresholds promise, ascending."""
    confidence: Share = 0.95
    """How probable it is at least that a promise holds."""
    category_deviation: float = Field(0.2, gt=0)
    """Standard deviation, of log odds, of categories from their calibrated probabilities."""
    window_deviation: float = Field(0.3, gt=0)
    """Standard deviation, of log odds, of a category from one window to the next."""

    @model_validator(mode="after")
    def _ascending(self) -> Self:
        if list(self.precisions) != sorted(set(self.precisions)):
            raise ValueError("precisions must ascend, each once")
        return self
