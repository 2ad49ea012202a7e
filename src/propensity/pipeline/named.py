"""What steps over named features of a record have in common: which features, which types, and one line for a wrong one."""

import math
import reprlib
from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Self

import numpy as np

from propensity.errors import DataError
from propensity.pipeline.transformer import Record, RecordTransformer, Tensors

ONE_LINE = 200


class NamedTransformer(RecordTransformer):
    """A function of the values of some features; the others, and what is missing or null, are handed on as they are."""

    takes: str
    """What a value may be, in words."""

    def __init__(self, names: Sequence[str]) -> None:
        """Take the names of the features to change."""
        if isinstance(names, str) or not all(isinstance(name, str) for name in names):
            raise TypeError(f"names must be a list of strings: {reprlib.repr(names)}")
        self.names = tuple(names)

    @abstractmethod
    def value(self, name: str, value: Any) -> Any:
        """Return what a feature's value becomes, as new objects; raise DataError, by :meth:`wrong`, when it is none."""

    @abstractmethod
    def column(self, kind: str) -> str | None:
        """Return the type that a DataFrame's column of type `kind` gets, None when the step cannot take it."""

    def apply(self, record: Record) -> Record:
        """Return the record with the named features changed."""
        changed = {name: self.value(name, record[name]) for name in self.names if record.get(name) is not None}
        return {**record, **changed}

    def columns(self, types: Mapping[str, str]) -> Mapping[str, str]:
        """Return the types of the named columns that are there; raise DataError when one is of another type."""
        found = {name: self.column(types[name]) for name in self.names if name in types}
        refused = [f"{name} {types[name]}" for name, kind in found.items() if kind is None]
        if refused:
            raise DataError("columns of a wrong type", where=self.kind, examples=refused, do=f"give {self.takes}")
        return {name: kind for name, kind in found.items() if kind is not None}

    def describe(self) -> Mapping[str, Any]:
        """Return the names."""
        return {"names": list(self.names)}

    @classmethod
    def restore(cls, described: Mapping[str, Any], tensors: Tensors) -> Self:
        """Return the step as it was saved."""
        del tensors
        return cls(**described)

    def wrong(self, name: str, value: object) -> DataError:
        """Return the error that says which feature is not what the step takes."""
        what = " ".join(f"feature {name} cannot be {reprlib.repr(value)}".split())
        return DataError(what[:ONE_LINE], where=self.kind, do=f"give {self.takes}")

    def texts(self, name: str, value: Any) -> Sequence[str]:
        """Return the value as the list of strings that it is."""
        if not isinstance(value, list | tuple) or not all(isinstance(word, str) for word in value):
            raise self.wrong(name, value)
        return value

    def number(self, name: str, value: Any) -> float:
        """Return the value as the finite number that it is."""
        if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
            raise self.wrong(name, value)
        try:
            found = float(value)
        except OverflowError:
            raise self.wrong(name, value) from None
        if not math.isfinite(found):
            raise self.wrong(name, value)
        return found

    def total(self, name: str, values: Iterable[float]) -> float:
        """Return the exactly rounded sum, which is the same in every order."""
        try:
            return math.fsum(values)
        except OverflowError:
            raise self.wrong(name, "a sum that is too large") from None


def whole(name: str, value: object, least: int) -> int:
    """Return a setting that is a whole number from `least` up; raise TypeError or ValueError."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{name} must be a whole number: {reprlib.repr(value)}")
    if value < least:
        raise ValueError(f"{name} must be at least {least}: {value}")
    return value


def text(name: str, value: object) -> str:
    """Return a setting that is a string; raise TypeError."""
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a string: {reprlib.repr(value)}")
    return value


def finite(name: str, value: object) -> float:
    """Return a setting that is a finite number; raise TypeError or ValueError."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise TypeError(f"{name} must be a number: {reprlib.repr(value)}")
    if not math.isfinite(value):
        raise ValueError(f"{name} must be finite: {value}")
    return float(value)
