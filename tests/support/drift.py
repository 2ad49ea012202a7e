"""A day after the newest one of the small trained lake, as it is or with a fault planted in its features."""

import datetime as dt
from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from propensity.config import MAX_CHANNELS, Expectation
from propensity.contracts import FEATURES, TOKENS
from propensity.engine import scoring, worker_model
from propensity.features import tokens
from propensity.features.csr import SparseBatch, from_arrow, to_arrow
from propensity.models.ragged import keep
from propensity.quality.staged import StagedScores
from propensity.storage import Lake
from tests.support.online import NEWEST
from tests.support.trained import REGION, shared

TOMORROW = NEWEST + dt.timedelta(days=1)
BRAND = ("order", "brand")
Change = Callable[[Lake, SparseBatch], SparseBatch]


def as_it_was(lake: Lake, batch: SparseBatch) -> SparseBatch:
    """Change nothing: a day like the one before."""
    return batch


def field_missing(lake: Lake, batch: SparseBatch) -> SparseBatch:
    """Take a field out, as when an export loses a column."""
    kept = ~_of_brand(lake, batch)
    return SparseBatch(batch.indices[kept], batch.values[kept], keep(batch.offsets, kept))


def values_times_ten(lake: Lake, batch: SparseBatch) -> SparseBatch:
    """Multiply one channel's values by ten, in natural units, as when a currency's unit changes."""
    slot = lake.config.features.channel_names().index("value_30")
    wrong = batch.indices % MAX_CHANNELS == slot
    values = np.where(wrong, np.log1p(10 * np.expm1(batch.values)), batch.values).astype(np.float32)
    return SparseBatch(batch.indices, values, batch.offsets)


def words_renamed(lake: Lake, batch: SparseBatch) -> SparseBatch:
    """Give a field's features to tokens that the model never saw, as when an export writes its codes another way."""
    old = tokens.load(lake).of(*BRAND)
    old = old.filter(pc.invert(pc.starts_with(old["value"], "new ")))
    new = [(*BRAND, f"new {number:04d}") for number in range(len(old))]
    if tokens.load(lake).missing({BRAND: pa.array(word for *_, word in new)}):
        lake.append(TOKENS, [lake.write(TOKENS, {}, "renamed", tokens.load(lake).rows(new), {})], {}, lake.version(TOKENS))
    ids = {word: token for token, word in tokens.names(tokens.load(lake), *BRAND).items()}
    renamed = dict(zip(old["token"].to_pylist(), (ids[word] for *_, word in new), strict=True))
    token, slot = np.divmod(batch.indices, MAX_CHANNELS)
    indices = np.array([renamed.get(t, t) for t in token.tolist()], np.int32) * MAX_CHANNELS + slot
    order = np.lexsort((indices, np.repeat(np.arange(len(batch)), np.diff(batch.offsets))))
    return SparseBatch(indices[order], batch.values[order], batch.offsets)


def _of_brand(lake: Lake, batch: SparseBatch) -> np.ndarray:
    return np.isin(batch.indices // MAX_CHANNELS, tokens.load(lake).of(*BRAND)["token"].to_numpy())


def put_tomorrow(lake: Lake, change: Change) -> None:
    """Commit tomorrow's features: the newest day's with a change."""
    partition = {"region": REGION, "score_date": TOMORROW.isoformat()}
    files = []
    for number, file in enumerate(lake.files(FEATURES, region=REGION, score_date=NEWEST.isoformat())):
        rows = lake.read(FEATURES.name, file).combine_chunks()
        batch = from_arrow(rows["indices"].combine_chunks(), rows["values"].combine_chunks())
        table = pa.table([rows["user_id"], *to_arrow(change(lake, batch).check())], schema=FEATURES.file_schema(lake.user_type))
        files.append(lake.write(FEATURES, partition, f"{number:05d}-{change.__name__}", table, {}))
    lake.commit(FEATURES, files, partition, {})


def champion_of(lake: Lake) -> worker_model.Champion:
    """Return the trained version, in this lake."""
    made = shared()[1]
    return worker_model.Champion(made.version, made.digest, lake.config.home / "models" / REGION / made.version)


def score_here(lake: Lake, date: dt.date = TOMORROW) -> StagedScores:
    """Score and stage a day in this process."""
    worker_model._models.clear()
    return scoring.score_region(lake, REGION, date, champion_of(lake), force=True)[0]


def gated(lake: Lake, column: str, **bounds: float) -> Lake:
    """Return the lake with a drift suite of one bound."""
    rule = Expectation(expect="ExpectColumnValuesToBeBetween", says="too far; look", args={"column": column, **bounds})
    quality = lake.config.quality.model_copy(update={"drift": (rule,)})
    return Lake(lake.config.model_copy(update={"quality": quality}))
