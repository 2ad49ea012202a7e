"""The online service's settings: a part of runtime.yaml, with a default for each."""

from pydantic import Field

from propensity.config.base import Frozen

MIB = 2**20


class Serving(Frozen):
    """The online service."""

    host: str = "127.0.0.1"
    """The address it listens on.  It asks nobody who they are: leave it on this machine, or behind something that does."""
    port: int = Field(8090, ge=1, le=65535)
    workers: int = Field(1, ge=1, le=64)
    """Processes that answer.  Each holds every region's model, and counts its own metrics."""
    refresh_seconds: float = Field(15.0, gt=0)
    """How often it looks for a new champion and for newer feature rows."""
    max_body_bytes: int = Field(MIB, ge=1024)
    """A larger request is refused while it comes in."""
    max_batch: int = Field(256, ge=1)
    """Records and user ids in one batch request."""
    feature_cache_mib: int = Field(256, ge=1)
    """Memory for feature files that were read to answer for user ids, in MiB."""
    explain_tokens: int = Field(500, ge=1)
    """Tokens that an explanation takes out one by one; the rest go as one group."""
    access_log: bool = False
    """Whether each request is a line of the log."""
