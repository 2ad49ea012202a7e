"""From a model and a customer's row to what is answered.  Knows nothing of HTTP, threads, or which model it is."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from msgspec import UNSET, UnsetType

from propensity.contracts import SCORE_SOURCES
from propensity.errors import DataError
from propensity.features.csr import SparseBatch, concat
from propensity.pipeline.top_k import sigmoid
from propensity.pipeline.transformer import Record
from propensity.serving.answers import Answer, CategoryScore, Result, Source
from propensity.serving.errors import RequestError, invalid
from propensity.serving.models import Model
from propensity.serving.requests import DEFAULT_THRESHOLD, DEFAULT_TOP_K, Customer, Options

ROWS = 64
"""Rows of a batch scored at once: the (rows, categories) matrix stays small."""
TOO_LARGE = ("the model's answer is not a finite number: a feature is too large", "give the features in their own units")


@dataclass(frozen=True)
class Row:
    """One customer, ready to score."""

    batch: SparseBatch
    """A batch of one."""
    score_date: str | UnsetType = UNSET
    unknown: int | UnsetType = UNSET


@dataclass(frozen=True)
class Plan:
    """What to return of each customer."""

    k: int
    columns: list[int] | None
    """Of named categories; None: the `k` likeliest."""
    threshold: float | None
    """For an answer; None: none is wanted."""


def plan(model: Model, options: Options) -> Plan:
    """Return what to do; raise RequestError for options that contradict each other or the model."""
    if options.top_k is not UNSET and options.categories is not UNSET:
        raise invalid("top_k and categories are both given", "give one of them")
    if options.threshold is not UNSET and not options.answer:
        raise invalid("threshold is given and no answer is asked for", "add answer: true, or leave threshold out")
    if options.answer and len(model.names) != 1:
        raise invalid(
            f"answer is for a model of one category; this one has {len(model.names)}", "leave answer out, or name a category"
        )
    threshold = DEFAULT_THRESHOLD if options.threshold is UNSET else options.threshold
    k = DEFAULT_TOP_K if options.top_k is UNSET else options.top_k
    columns = None if options.categories is UNSET else [model.column(category) for category in options.categories]
    if columns is not None and len(set(columns)) != len(columns):
        raise invalid("a category is named twice", "name each once, by name or by id")
    return Plan(min(k, len(model.names)), columns, threshold if options.answer else None)


def check_item(item: Customer, user_type: str) -> None:
    """Raise RequestError unless a customer is given once, and by an id of the right type."""
    if (item.features is UNSET) == (item.user_id is UNSET):
        given = "neither" if item.features is UNSET else "both"
        raise invalid(f"{given} of features and user_id given", "give one of them")
    if item.user_id is not UNSET and isinstance(item.user_id, str) != (user_type == "string"):
        raise invalid(f"user ids are {user_type} here, not {item.user_id!r}", "give the id as the events have it")


def prepare(model: Model, record: Record) -> Row:
    """Return a record as the model takes it; raise RequestError for a value that is no feature."""
    try:
        with np.errstate(over="ignore", invalid="ignore"):
            batch, unknown = model.pipeline.prepare_counting(record)
    except DataError as error:
        raise invalid(error.what, error.do or "mend the feature") from None
    if not np.isfinite(batch.values).all():
        raise invalid(*TOO_LARGE)
    return Row(batch, unknown=unknown)


def score(model: Model, row: Row, wanted: Plan) -> Result:
    """Return one customer's scores."""
    return _many(model, [row], wanted, None)[0]


def score_many(model: Model, rows: Sequence[Row], wanted: Plan) -> list[Result]:
    """Return several customers' scores, each the very bits of :func:`score`."""
    results: list[Result] = []
    for start in range(0, len(rows), ROWS):
        results += _many(model, rows[start : start + ROWS], wanted, start)
    return results


def _many(model: Model, rows: Sequence[Row], wanted: Plan, first: int | None) -> list[Result]:
    """Return the scores; `first` is the position of the first row in a batch request."""
    batch = rows[0].batch if len(rows) == 1 else concat([row.batch for row in rows])
    predictor = model.pipeline.predictor
    if wanted.columns is None:
        scores = predictor.score(batch, wanted.k)
        ids, probabilities, sources = scores.categories.tolist(), scores.probabilities, scores.source
    else:
        raw = predictor.raw(batch)
        ids = [predictor.categories[wanted.columns].tolist()] * len(rows)
        probabilities, sources = sigmoid(raw.logits[:, wanted.columns]), raw.source
    numbers = probabilities.tolist()
    for at, its in enumerate(numbers):
        if math.isnan(sum(its)):  # as it is when any of them is
            error = invalid(*TOO_LARGE)
            raise error if first is None else at_position(error, first + at)
    every = zip(rows, ids, numbers, sources.tolist(), strict=True)
    return [_result(model, row, mine, its, source, wanted) for row, mine, its, source in every]


def _result(model: Model, row: Row, ids: list[int], probabilities: list[float], source: int, wanted: Plan) -> Result:
    names = model.name_of
    categories = [CategoryScore(i, names[i], p) for i, p in zip(ids, probabilities, strict=True)]
    answer: Answer | UnsetType = UNSET
    if wanted.threshold is not None:
        answer = Answer(probabilities[0] >= wanted.threshold, probabilities[0], wanted.threshold)
    return Result(
        source=source_name(source), categories=categories, answer=answer, score_date=row.score_date, unknown_features=row.unknown
    )


def source_name(source: int) -> Source:
    """Return `score_source` by its position."""
    return SCORE_SOURCES[source]  # type: ignore[return-value]


def at_position(error: RequestError, at: int) -> RequestError:
    """Return an error of one of several customers, saying which."""
    return RequestError(error.status, f"items[{at}]: {error.error}", error.do)
