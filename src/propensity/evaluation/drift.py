"""How a scored day differs from the window that its model learned from: pure functions over what was counted of both."""

import datetime as dt
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from propensity.contracts import SCORE_SOURCES
from propensity.features.windows import RECENCY_DAYS
from propensity.models.distributions import FORMAT, Counts

FLOOR = 1e-4
"""A bin's share is taken for at least that: a bin that one side lacks counts much, and not without end."""
ALL = "all"


@dataclass(frozen=True)
class Measure:
    """One row of the drift table."""

    measure: str
    """One of contracts.DRIFT_MEASURES."""
    group: str
    value: float
    reference: float | None = None


@dataclass(frozen=True)
class Day:
    """What a scored day consists of, besides what its customers look like."""

    customers: int
    landed: dt.date | None
    """The newest day before the score date that has landed in the region."""
    score_date: dt.date
    trained_for: dt.date | None
    """The score date that the champion was trained for."""


def psi(counts: Sequence[float], reference: Sequence[float]) -> float:
    """Return the population stability index of two histograms of the same bins: ``sum((p - q) * ln(p / q))`` of their shares.

    It is Kullback and Leibler's symmetric divergence (On Information and Sufficiency, 1951), known by this name from credit
    scoring (Siddiqi, Credit Risk Scorecards, 2006).  0 for the same shares, never negative, the same both ways.  Samples of n and
    m without any drift give about ``(bins - 1) * (1 / n + 1 / m)`` (Yurdakul, Statistical Properties of Population Stability
    Index, 2018).
    """
    p, q = _shares(counts), _shares(reference)
    return float(((p - q) * np.log(p / q)).sum())


def _shares(counts: Sequence[float]) -> Any:
    array = np.asarray(counts, np.float64)
    return np.maximum(array / max(array.sum(), 1.0), FLOOR)


def measures(day: Day, counts: Counts, reference: Mapping[str, Any] | None) -> list[Measure]:
    """Return the rows of a day whose customers gave `counts`.

    Without a reference, or with one of another format, there is none of the rows that compare, and the others have no reference.
    """
    usable = reference if reference is not None and reference.get("format") == FORMAT else None
    return [
        *_unknown(counts, usable),
        *_groups(counts, usable),
        *_scores(counts["scores"], counts["customers"], usable),
        *_sizes(day, usable),
        *_freshness(day, counts, usable),
    ]


def _unknown(counts: Counts, reference: Mapping[str, Any] | None) -> Iterator[Measure]:
    mine, theirs = counts["fields"], reference["fields"] if reference else {}
    yield Measure("unknown_share", ALL, _unknown_share(mine.values()), _unknown_share(theirs.values()) if theirs else None)
    for field, (entries, unknown) in mine.items():
        if entries:
            known = theirs.get(field, (0, 0))
            yield Measure("field_unknown_share", field, unknown / entries, known[1] / known[0] if known[0] else None)


def _unknown_share(fields: Iterable[Sequence[int]]) -> float:
    entries, unknown = map(sum, zip(*fields, strict=True))
    return unknown / max(entries, 1)


def _groups(counts: Counts, reference: Mapping[str, Any] | None) -> Iterator[Measure]:
    for group, entries in counts["entries"].items():
        values = counts["values"][group]
        theirs = reference["entries"].get(group) if reference else None
        yield Measure("coverage", group, _coverage(entries), _coverage(theirs) if theirs else None)
        customers = reference["customers"] if reference else 0
        mean = sum(reference["values"][group]) / customers if reference and theirs and customers else None
        yield Measure("entries_per_customer", group, sum(values) / max(counts["customers"], 1), mean)
        if reference and theirs:
            yield Measure("entries_psi", group, psi(entries, theirs), 0.0)
            if sum(values) and sum(reference["values"][group]):  # what is not there has no values: coverage says so
                yield Measure("value_psi", group, psi(values, reference["values"][group]), 0.0)


def _coverage(entries: Sequence[int]) -> float:
    return 1 - entries[0] / sum(entries) if sum(entries) else 0.0


def _scores(scores: Mapping[str, Any], customers: int, reference: Mapping[str, Any] | None) -> Iterator[Measure]:
    expected = scores["expected"] / max(customers, 1)
    theirs = reference["scores"] if reference else None
    total = reference["customers"] if reference else 0
    if theirs is not None:
        yield Measure("top_score_psi", ALL, psi(scores["highest"], theirs["highest"]), 0.0)
    # Another number of categories delivered is no drift: the sums and the histograms of all pairs are not compared then.
    if theirs is not None and theirs["widths"] == scores["widths"] and total and theirs["expected"]:
        mean = theirs["expected"] / total
        yield Measure("score_psi", ALL, psi(scores["pairs"], theirs["pairs"]), 0.0)
        yield Measure("expected_acts", ALL, expected, mean)
        yield Measure("expected_acts_ratio", ALL, expected / mean, 1.0)
    else:
        yield Measure("expected_acts", ALL, expected)
    for source in SCORE_SOURCES:
        was = theirs["sources"].get(source, 0) / total if theirs and total else None
        yield Measure("source_share", source, scores["sources"].get(source, 0) / max(customers, 1), was)


def _sizes(day: Day, reference: Mapping[str, Any] | None) -> Iterator[Measure]:
    total = reference["total"] if reference else 0
    yield Measure("customers", ALL, float(day.customers), float(total) if total else None)
    if total:
        yield Measure("customers_ratio", ALL, day.customers / total, 1.0)


def _freshness(day: Day, counts: Counts, reference: Mapping[str, Any] | None) -> Iterator[Measure]:
    if day.landed is not None:
        yield Measure("days_since_landed", ALL, float((day.score_date - day.landed).days))
    if counts["recency"] > 0:
        was = _days_ago(reference["recency"]) if reference and reference["recency"] > 0 else None
        yield Measure("days_since_event", ALL, _days_ago(counts["recency"]), was)
    if day.trained_for is not None:
        yield Measure("champion_age_days", ALL, float((day.score_date - day.trained_for).days))


def _days_ago(recency: float) -> float:
    """Return the days since the newest event: recency is exp(-days / 28)."""
    return float(round(-RECENCY_DAYS * math.log(recency)))
