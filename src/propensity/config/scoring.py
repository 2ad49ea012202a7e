"""models.yaml, `scoring`: in how many bits batches are scored, and what that may cost."""

from typing import Annotated, Literal

from pydantic import Field

from propensity.config.base import Frozen

Vectors = Literal["none", "float32", "float16"]
Precision = Literal["float32", "float16", "bfloat16"]
Device = Literal["cpu", "cuda"]


class Scoring(Frozen):
    """Fewer bits are quicker and deviate from what the online service says; docs/adr/0016 has the figures."""

    precision: Precision | Literal["auto"] = "float32"
    """float32 has the very bits of the online service.  auto: what is quickest on this machine and stays within the bounds."""
    device: Device = "cpu"
    """Where batches' matrix products are computed, of the propensity network alone.  cuda: on the GPU of the machine that scores,
    an error where there is none; even float32 then deviates from the online service in the last bits."""
    max_deviation: Annotated[float, Field(gt=0, le=1)] = 0.02
    """Most that a probability may deviate from that in float32, on the sample that a run measures."""
    min_same_top: Annotated[float, Field(ge=0, le=1)] = 0.98
    """Least share of a customer's delivered categories that both name, mean over the sample."""
    sample: Annotated[int, Field(ge=1)] = 2048
    """Customers in the sample."""
    vectors: Vectors = "none"
    """Whether every category's probability is stored beside the likeliest, in the table score_vectors; in 4 or 2 bytes each."""
