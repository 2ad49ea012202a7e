"""models.yaml, `scoring`: in how many bits batches are scored, and what that may cost."""

from typing import Annotated, Literal

from pydantic import Field

from propensity.config.base import Frozen

Precision = Literal["float32", "float16", "bfloat16"]


class Scoring(Frozen):
    """Fewer bits are quicker and deviate from what the online service says; docs/adr/0016 has the figures."""

    precision: Precision | Literal["auto"] = "float32"
    """float32 has the very bits of the online service.  auto: what is quickest on this machine and stays within the bounds."""
    max_deviation: Annotated[float, Field(gt=0, le=1)] = 0.02
    """Most that a probability may deviate from that in float32, on the sample that a run measures."""
    min_same_top: Annotated[float, Field(ge=0, le=1)] = 0.98
    """Least share of a customer's delivered categories that both name, mean over the sample."""
    sample: Annotated[int, Field(ge=1)] = 2048
    """Customers in the sample."""
