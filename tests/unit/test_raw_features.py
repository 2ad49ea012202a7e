"""Raw features in natural units, online, become the very rows that the features table holds."""

import datetime as dt
from collections import defaultdict
from typing import Any

import numpy as np
import pytest
from tests.support.trained import REGION, SCORE_DATE, shared

from propensity.config import MAX_CHANNELS, Config
from propensity.contracts import FEATURES
from propensity.engine import worker_model
from propensity.errors import BundleError
from propensity.features import tokens
from propensity.features.csr import SparseBatch, from_arrow
from propensity.features.store import bucket_work, read_activity
from propensity.features.windows import training_cutoffs
from propensity.models.loading import load_pipeline
from propensity.models.raw_features import check_channels
from propensity.pipeline.pipeline import Pipeline
from propensity.pipeline.vectoriser import Vectoriser

Record = dict[str, dict[str, float]]


def natural(events: list[tuple[int, int, float]], channel: str) -> float | None:
    """Return one channel of a token's (days ago, count, value) events by its plain definition, None when it has none."""
    kind, _, window = channel.partition("_")
    if kind == "recency":
        return float(min(ago for ago, _, _ in events))
    if kind == "interval":
        days = [ago for ago, _, _ in events]
        return (max(days) - min(days)) / (len(days) - 1) if len(days) > 1 else None
    inside = [e for e in events if e[0] <= int(window)]
    return {"count": sum(e[1] for e in inside), "days": float(len(inside)), "value": sum(e[2] for e in inside)}[kind] or None


def records_at(cutoff: dt.date) -> dict[Any, Record]:
    """Return every customer's raw features at a cutoff, from the activity table, event by event."""
    lake = shared()[0]
    config = lake.config
    names = tokens.load(lake).table.to_pylist()
    fields = {(f.event_type, f.field): type(config.features)(fields=(f,), history_days=config.features.history_days)
              for f in config.features.fields}  # fmt: skip
    first = cutoff - dt.timedelta(days=config.features.history_days)
    result: dict[Any, Record] = {}
    for work in bucket_work(lake, REGION, (), first, cutoff):
        activity = read_activity(lake, work.activity)
        ago = (cutoff - dt.date(1970, 1, 1)).days - activity.day
        seen: dict[Any, dict[int, list[tuple[int, int, float]]]] = defaultdict(lambda: defaultdict(list))
        for i in range(len(ago)):
            if 1 <= ago[i] <= config.features.history_days:
                user = activity.users[int(activity.user[i])].as_py()
                seen[user][int(activity.token[i])].append((int(ago[i]), int(activity.count[i]), float(activity.value[i])))
        for user, events in seen.items():
            record: Record = defaultdict(dict)
            for token, mine in events.items():
                key = (names[token]["event_type"], names[token]["field"])
                for channel in fields[key].channel_names() if key in fields else ():
                    value = natural(mine, channel)
                    if value is not None:
                        record[".".join((*key, channel))][names[token]["value"]] = value
            result[user] = dict(record)
    return result


@pytest.fixture(scope="module")
def pipeline() -> Pipeline:
    return load_pipeline(shared()[1].folder)


def stored_rows(cutoff: dt.date) -> dict[Any, SparseBatch]:
    lake = shared()[0]
    result = {}
    for file in lake.files(FEATURES, region=REGION, score_date=cutoff.isoformat()):
        table = lake.read(FEATURES.name, file).combine_chunks()
        batch = from_arrow(table["indices"].combine_chunks(), table["values"].combine_chunks())
        result.update({user: batch.rows(i, i + 1) for i, user in enumerate(table["user_id"].to_pylist())})
    return result


def test_a_record_in_natural_units_is_the_stored_row_bit_by_bit(pipeline: Pipeline) -> None:
    cutoff = training_cutoffs(shared()[0].config, SCORE_DATE)[0]
    records, stored = records_at(cutoff), stored_rows(cutoff)
    assert len(records) == len(stored) > 20
    known = {int(i) // MAX_CHANNELS for block in pipeline.vectoriser.blocks.values() for i in block.ids}
    compared = 0
    for user, record in records.items():
        row = stored[user]
        kept = np.isin(row.indices // MAX_CHANNELS, list(known))
        made = pipeline.prepare_one(record)
        np.testing.assert_array_equal(made.indices, row.indices[kept])
        np.testing.assert_array_equal(made.values.view(np.int32), row.values[kept].view(np.int32))
        compared += len(made.indices)
    assert compared > 500


def test_online_and_stored_rows_have_the_same_scores(pipeline: Pipeline) -> None:
    cutoff = training_cutoffs(shared()[0].config, SCORE_DATE)[0]
    stored = stored_rows(cutoff)
    for user, record in records_at(cutoff).items():
        np.testing.assert_array_equal(pipeline.predict(record), pipeline.predictor.predict(stored[user]))


def test_a_feature_given_as_zero_is_one_left_out(pipeline: Pipeline) -> None:
    cutoff = training_cutoffs(shared()[0].config, SCORE_DATE)[0]
    record = next(iter(records_at(cutoff).values()))
    zeros = {
        name: {**dict.fromkeys(pipeline.vectoriser.blocks[where.block].words, 0.0), **record.get(name, {})}
        for name, where in pipeline.vectoriser.names.items()
        if not name.endswith("recency")  # no days ago would be today
    }
    with_zeros = {**record, **zeros}
    assert sum(map(len, with_zeros.values())) > sum(map(len, record.values())) + 10
    np.testing.assert_array_equal(pipeline.prepare_one(with_zeros).indices, pipeline.prepare_one(record).indices)


def test_every_channel_of_every_known_field_has_a_name(pipeline: Pipeline) -> None:
    lake, made = shared()
    names = pipeline.vectoriser.name_of(pipeline.predictor.tensors()["feature_ids"])
    assert "?" not in {name for name, _ in names}
    assert len(set(names)) == made.features
    wanted = {f"{f.event_type}.{f.field}" for f in lake.config.features.fields}
    assert {name.rsplit(".", 1)[0] for name, _ in names} == wanted


def without_counts(config: Config) -> Config:
    fields = config.features.fields
    other = (fields[0].model_copy(update={"count": ()}), *fields[1:])
    return config.model_copy(update={"features": config.features.model_copy(update={"fields": other})})


def test_rows_of_other_channels_are_refused(pipeline: Pipeline) -> None:
    config = shared()[0].config
    check_channels(config, pipeline.vectoriser, "here")
    fewer = config.model_copy(update={"features": config.features.model_copy(update={"fields": config.features.fields[1:]})})
    for changed in (without_counts(config), fewer):
        with pytest.raises(BundleError, match="other channels") as caught:
            check_channels(changed, pipeline.vectoriser, "here")
        assert "\n" not in str(caught.value)
    check_channels(fewer, Vectoriser.fitted([{"a word of one's own": "x"}]), "here")


def test_a_scoring_task_refuses_rows_of_other_channels() -> None:
    lake, made = shared()
    worker_model._models.clear()
    champion = worker_model.Champion(made.version, made.digest, made.folder)
    with pytest.raises(BundleError, match="other channels"):
        worker_model.model_of(champion, without_counts(lake.config), "float32")
    assert not worker_model._models
