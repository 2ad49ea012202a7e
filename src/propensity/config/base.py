"""What every section of the configuration is."""

from pydantic import BaseModel, ConfigDict


class Frozen(BaseModel):
    """Base of every section: unknown keys are errors, values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True)
