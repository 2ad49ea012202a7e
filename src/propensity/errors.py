"""Errors as values: what, where, how many, five examples, what to do.

Every refusal of the project is one of these.  ``str(error)`` is a single line that a person can act on,
whatever door (Airflow, a shell, spark-submit) it comes out of.
"""

from collections.abc import Sequence

MAX_EXAMPLES = 5
MAX_EXAMPLE_CHARS = 120


class PropensityError(Exception):
    """A refusal that says what is wrong, where, how often, with examples, and what to do about it.

    Retrying will not help: the input, the configuration or the machine has to change first.
    """

    def __init__(
        self,
        what: str,
        *,
        where: str = "",
        count: int | None = None,
        examples: Sequence[object] = (),
        do: str = "",
    ) -> None:
        self.what = what
        self.where = where
        self.count = count
        self.examples = tuple(_bounded(e) for e in list(examples)[:MAX_EXAMPLES])
        self.do = do
        super().__init__(self._line())

    def _line(self) -> str:
        parts = [f"{self.where}: {self.what}" if self.where else self.what]
        if self.count is not None:
            parts.append(f"({self.count:,} in all)")
        if self.examples:
            parts.append("for example " + ", ".join(self.examples))
        line = " ".join(parts)
        return f"{line}. To do: {self.do}" if self.do else line

    def __reduce__(self) -> tuple[object, ...]:
        # Spark carries a task's exception to the driver by pickle; the default would lose the keyword parts.
        return _rebuild, (type(self), self.what, self.where, self.count, self.examples, self.do)


def _rebuild(
    cls: type["PropensityError"], what: str, where: str, count: int | None, examples: tuple[str, ...], do: str
) -> "PropensityError":
    return cls(what, where=where, count=count, examples=examples, do=do)


def _bounded(example: object) -> str:
    text = " ".join(str(example).split())
    return text if len(text) <= MAX_EXAMPLE_CHARS else text[: MAX_EXAMPLE_CHARS - 1] + "…"


class ConfigError(PropensityError):
    """The configuration folder is missing, incomplete or contradicts itself."""


class DataError(PropensityError):
    """Input data breaks its contract: a missing or damaged file, a wrong type, an impossible value."""


class GateError(PropensityError):
    """A quality gate said no.  Nothing behind the gate was written."""


class NotPromotedError(PropensityError):
    """A challenger did not earn the champion's place."""


class BundleError(PropensityError):
    """A model bundle is damaged, incomplete or made for other features."""


class MachineError(PropensityError):
    """The machine lacks something: Java, a device, disk space, a free port, a reachable database."""


class ConflictError(PropensityError):
    """Another writer committed the same partition first.  Running again is safe."""
