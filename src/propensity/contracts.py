"""The tables: columns, types, keys, units.  Every reader and writer takes its schema from here.

A user id is ``int64`` or ``string``, as the configuration says, and is carried through unchanged; so each
schema is a function of that type.  Partition columns live in the table's folder names, not in its files.
Dates are days in UTC.  All ids are those of the token table: a category id *is* the id of its token.
"""

import datetime as dt
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

EPOCH = dt.date(1970, 1, 1)

USER_TYPES: dict[str, pa.DataType] = {"int64": pa.int64(), "string": pa.string()}


def day_number(day: dt.date) -> int:
    """Return days since 1970-01-01, as Arrow's date32 counts them."""
    return (day - EPOCH).days


def day_of(number: int) -> dt.date:
    """Return the day that is `number` days after 1970-01-01."""
    return EPOCH + dt.timedelta(days=number)


@dataclass(frozen=True)
class TableContract:
    """One table: its name, partition columns, and the columns inside its files in their order."""

    name: str
    partition_by: tuple[str, ...]
    """Columns that name the folders.  All string, but `score_date` and `bucket` (date32, int32)."""
    columns: tuple[tuple[str, pa.DataType | None], ...]
    """Columns in the files; the type None stands for the configured type of user ids."""
    key: tuple[str, ...]
    """What is unique in the table."""
    plain: tuple[str, ...] = ()
    """List columns written without a dictionary: their numbers hardly repeat within a file."""
    packed: tuple[str, ...] = ()
    """Binary columns that are of one width within a file and written as they are: no dictionary, no compression."""

    def file_schema(self, user_type: str) -> pa.Schema:
        """Return the schema of one file (without the partition columns)."""
        user = USER_TYPES[user_type]
        return pa.schema([pa.field(n, user if t is None else t) for n, t in self.columns])

    def table_schema(self, user_type: str) -> pa.Schema:
        """Return the schema of the whole table, partition columns first."""
        head = [pa.field(name, PARTITION_TYPES[name]) for name in self.partition_by]
        return pa.schema(head + list(self.file_schema(user_type)))

    def encoding(self) -> dict[str, Any]:
        """Return how pyarrow writes the table's files: which columns have a dictionary, which are compressed."""
        lists = {name for name, kind in self.columns if kind is not None and pa.types.is_list(kind)}
        paths = {n: f"{n}.list.element" if n in lists else n for n, _ in self.columns}
        bare = {*self.plain, *self.packed}
        result = {"use_dictionary": [path for n, path in paths.items() if n not in bare] if bare else True}
        if not self.packed:
            return {**result, "compression": "zstd", "compression_level": 1}
        shrunk = [path for n, path in paths.items() if n not in self.packed]
        kinds = {path: "zstd" if path in shrunk else "none" for path in paths.values()}
        return {**result, "compression": kinds, "compression_level": dict.fromkeys(shrunk, 1), "write_statistics": shrunk}

    def difference(self, schema: pa.Schema, user_type: str) -> str:
        """Say in what a file's schema differs from the contract's, nothing where it does not.

        Packed columns may be of one width, which the contract does not know.
        """
        wanted = self.file_schema(user_type)
        for name in self.packed:
            at = schema.get_field_index(name)
            if at >= 0 and pa.types.is_fixed_size_binary(schema.field(at).type):
                schema = schema.set(at, pa.field(name, pa.binary()))
        if schema.equals(wanted):
            return ""
        mine = {f.name: str(f.type) for f in schema}
        theirs = {f.name: str(f.type) for f in wanted}
        lines = [
            f"{n} is {mine.get(n, 'missing')}, wants {theirs.get(n, 'nothing')}"
            for n in {**theirs, **mine}
            if mine.get(n) != theirs.get(n)
        ]
        return "; ".join(lines) or "the order of the columns"


PARTITION_TYPES: dict[str, pa.DataType] = {
    "region": pa.string(),
    "period": pa.string(),
    "model_version": pa.string(),
    "score_date": pa.date32(),
    "bucket": pa.int32(),
}

TOKENS = TableContract(
    "tokens",
    (),
    (("token", pa.int32()), ("event_type", pa.string()), ("field", pa.string()), ("value", pa.string())),
    ("token",),
)
"""Token ids, given once and never changed: token = (event_type, field, value)."""

ACTIVITY = TableContract(
    "activity",
    ("region", "period", "bucket"),
    (
        ("user_id", None),
        ("token", pa.int32()),
        ("event_date", pa.date32()),
        ("count", pa.int32()),  # events
        ("value", pa.float64()),  # sum of the events' value, in the events' own unit
    ),
    ("region", "user_id", "token", "event_date"),
)
"""Events added up per (user, token, day); files sorted by (user, token, day).

`period` is a day (``2017-03-04``) or a closed, compacted month (``2017-03``)."""

LANDED = TableContract(
    "landed",
    ("region",),
    (
        ("event_date", pa.date32()),
        ("digest", pa.string()),  # of the day's activity rows in this region
        ("source", pa.string()),  # of the files the day was read from
    ),
    ("region", "event_date"),
)
"""The ledger of what has landed: which day, from which files, with which content."""

FEATURES = TableContract(
    "features",
    ("region", "score_date"),
    (("user_id", None), ("indices", pa.list_(pa.int32())), ("values", pa.list_(pa.float32()))),
    ("region", "score_date", "user_id"),
    plain=("indices",),  # files are 7-20% smaller and written in 3/4 of the time
)
"""Sparse feature rows: `indices` strictly ascending, as long as `values`; one file a bucket, users ascending."""

LABELS = TableContract(
    "labels",
    ("region", "score_date"),
    (("user_id", None), ("categories", pa.list_(pa.int32()))),
    ("region", "score_date", "user_id"),
)
"""Category ids acted on in ``[score_date, score_date + horizon)``, ascending.

One row for every user who has a feature row at that date, in the same files and the same order."""

SCORES = TableContract(
    "scores",
    ("region", "score_date"),
    (
        ("user_id", None),
        ("categories", pa.list_(pa.int32())),
        ("scores", pa.list_(pa.float32())),  # probabilities in [0, 1], descending
        ("score_source", pa.string()),
        ("model_version", pa.string()),
        ("run_id", pa.string()),
    ),
    ("region", "score_date", "user_id"),
    plain=("categories", "scores"),  # written in a third of the time, no larger
)
"""The K likeliest categories of each customer with their probabilities.

`score_source` is one of :data:`SCORE_SOURCES`."""

SCORE_SOURCES = ("prior", "profile", "model")
"""How much was known of the customer.  ``prior``: no feature that the model knows, so the region's popularity speaks.
``profile``: known features, but no own history in any category of the model.  ``model``: both.  A model without a history path
knows no ``profile``."""

SCORE_VECTORS = TableContract(
    "score_vectors",
    ("region", "score_date"),
    (
        ("user_id", None),
        ("probabilities", pa.binary()),  # of every category of the model, little-endian, in the order of VECTOR_CATEGORIES
        ("score_source", pa.string()),
        ("model_version", pa.string()),
        ("run_id", pa.string()),
    ),
    ("region", "score_date", "user_id"),
    packed=("probabilities",),
)
"""Every probability of each customer, where ``models.scoring.vectors`` asks for them: 4 or 2 bytes each, by that setting."""

VECTOR_CATEGORIES = TableContract(
    "vector_categories",
    ("region", "model_version"),
    (("position", pa.int32()), ("category", pa.int32())),
    ("region", "model_version", "position"),
)
"""Which category stands where in a vector of a model version: `position` counts from 0."""

CHAMPIONS = TableContract(
    "champions",
    ("region",),
    (
        ("sequence", pa.int64()),  # 1, 2, 3 … within the region; the highest is the champion
        ("version", pa.string()),
        ("digest", pa.string()),  # of the bundle
        ("score_date", pa.date32()),  # the day the challenger was trained for
        ("reason", pa.string()),
    ),
    ("region", "sequence"),
)
"""The champion pointer with its history."""

DRIFT = TableContract(
    "drift",
    ("region", "score_date"),
    (
        ("measure", pa.string()),  # one of DRIFT_MEASURES
        ("group", pa.string()),  # what it is of: all, purchase.category.count_28, purchase.category, prior
        ("value", pa.float64()),  # on the day, in the measure's own unit
        ("reference", pa.float64()),  # the same in the training window; null where there is no such thing
        ("at_least", pa.float64()),  # the bounds that the suite sets; null when not gated
        ("at_most", pa.float64()),
        ("run_id", pa.string()),
        ("model_version", pa.string()),
    ),
    ("region", "score_date", "measure", "group"),
)
"""How a scored day differs from the window that its model learned from: one row a measure and group."""

DRIFT_MEASURES = (
    "unknown_share", "field_unknown_share", "coverage", "entries_per_customer", "entries_psi", "value_psi", "score_psi",
    "top_score_psi", "expected_acts", "expected_acts_ratio", "source_share", "customers", "customers_ratio", "days_since_landed",
    "days_since_event", "champion_age_days",
)  # fmt: skip

ALL_TABLES = (TOKENS, ACTIVITY, LANDED, FEATURES, LABELS, SCORES, SCORE_VECTORS, VECTOR_CATEGORIES, CHAMPIONS, DRIFT)
