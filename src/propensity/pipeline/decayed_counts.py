"""Counts that fade: each event weighs less the longer ago it was."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from propensity.pipeline.named import NamedTransformer, finite
from propensity.pipeline.text import MAP, NUMERIC

LISTS = tuple(f"array<{kind}>" for kind in NUMERIC)


class DecayedCounts(NamedTransformer):
    """Days ago of events become the sum of exp(-d / days): one number, or one for each word of a map.

    An event of today counts 1; a list without events gives 0.  An event of the future is refused.
    """

    kind = "decayed_counts"
    takes = "a list of days ago, from 0 up, or a map from string to such lists"

    def __init__(self, names: Sequence[str], days: float) -> None:
        """Take the days in which an event's weight falls by a factor of e."""
        super().__init__(names)
        self.days = finite("days", days)
        if days <= 0:
            raise ValueError(f"days must be above 0: {days}")

    def value(self, name: str, value: Any) -> float | dict[str, float]:
        """Return the decayed count, or that of each word."""
        if not isinstance(value, Mapping):
            return self._count(name, value)
        if not all(isinstance(word, str) for word in value):
            raise self.wrong(name, value)
        return {word: self._count(name, days) for word, days in value.items()}

    def _count(self, name: str, days: Any) -> float:
        if not isinstance(days, list | tuple):
            raise self.wrong(name, days)
        ago = [self.number(name, day) for day in days]
        if ago and min(ago) < 0:
            raise self.wrong(name, days)
        return self.total(name, (math.exp(-day / self.days) for day in ago))

    def column(self, kind: str) -> str | None:
        """Return the type of a number for a list of numbers, of a map to numbers for a map to such lists."""
        if kind in LISTS:
            return "double"
        return MAP if kind in {f"map<string,{days}>" for days in LISTS} else None

    def describe(self) -> Mapping[str, Any]:
        """Return names and days."""
        return {**super().describe(), "days": self.days}
