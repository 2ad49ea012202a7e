"""Steps, models and pipelines on a real Spark DataFrame: what they give a DataFrame is what they give a batch.

Frames have nulls, columns of others, and more partitions than rows, so that some are empty.
"""

import numpy as np
import pytest
from pyspark.sql import SparkSession
from tests.support.shop import make_config
from tests.support.sparse import to_batch, to_rows
from tests.support.steps import CASES, RecordCase, SparseCase
from tests.support.trained import shared

from propensity.engine.session import spark_context
from propensity.errors import DataError
from propensity.features.csr import SparseBatch
from propensity.models.loading import load_pipeline
from propensity.pipeline.bundle import load_bundle
from propensity.pipeline.lookup import VocabularyLookup
from propensity.pipeline.pipeline import Pipeline
from propensity.pipeline.predictor import SCORES
from propensity.pipeline.text import Normalise, Tokenise, TruncateOrPad

pytestmark = pytest.mark.spark

PARTITIONS = 6
CHANNEL = "order.topic.count_28"


@pytest.fixture(scope="module")
def spark(tmp_path_factory):
    """The session's Spark, whose workers know nothing that this process has in memory."""
    spark_context(make_config(tmp_path_factory.mktemp("spark")))
    return SparkSession.builder.getOrCreate()


def frame_of(spark, rows, columns):
    """Return rows of dictionaries as a DataFrame with a column that no step knows, in partitions of which some are empty."""
    types = {"user_id": "bigint", "note": "string", **columns}
    plain = [(i, f"note {i}" if i else None, *(row.get(name) for name in columns)) for i, row in enumerate(rows)]
    schema = ", ".join(f"`{name}` {kind}" for name, kind in types.items())
    return spark.createDataFrame(spark.sparkContext.parallelize(plain, PARTITIONS), schema)


def collected(frame, count):
    """Return the rows in their order; raise unless those that were given are there with their own columns."""
    rows = [row.asDict() for row in sorted(frame.collect(), key=lambda row: row["user_id"])]
    assert [row["user_id"] for row in rows] == list(range(count))
    assert [row["note"] for row in rows] == [f"note {i}" if i else None for i in range(count)]
    return rows


def sparse_rows(batch: SparseBatch):
    spans = zip(batch.offsets, batch.offsets[1:], strict=False)
    return [{"indices": batch.indices[a:b].tolist(), "values": batch.values[a:b].tolist()} for a, b in spans]


def as_frames_hold_them(batch: SparseBatch):
    """Return sparse rows as columns hold them: in single precision."""
    return sparse_rows(SparseBatch(batch.indices, batch.values.astype(np.float32), batch.offsets))


def named(kind, sort):
    return [name for name, case in CASES.items() if isinstance(case, sort) and (name == "vectorise") == (kind == "vectorise")]


@pytest.mark.parametrize("kind", named("others", RecordCase))
def test_a_step_over_records_makes_of_columns_what_it_makes_of_records(spark, kind):
    case = CASES[kind]
    step, records = case.make(), [dict(record) for record in case.training]
    frame = step.transform(frame_of(spark, records, case.columns))
    got = collected(frame, len(records))
    wanted = step.transform_batch(records)
    assert [{name: row[name] for name in case.columns} for row in got] == [
        {name: record.get(name) for name in case.columns} for record in wanted
    ]
    assert list(frame.columns) == ["user_id", "note", *case.columns]


def test_the_vectoriser_makes_of_columns_what_it_makes_of_records(spark):
    case = CASES["vectorise"]
    step = case.make()
    frame = step.transform(frame_of(spark, case.training, case.columns))
    got = collected(frame, len(case.training))
    assert [{name: row[name] for name in ("indices", "values")} for row in got] == as_frames_hold_them(
        step.transform_batch(case.training)
    )
    assert any(row["indices"] for row in got)
    assert [row["m"] for row in got] == [record.get("m") for record in case.training]


@pytest.mark.parametrize("kind", named("others", SparseCase))
def test_a_step_over_rows_makes_of_columns_what_it_makes_of_a_batch(spark, kind):
    case = CASES[kind]
    step, rows = case.make(), sparse_rows(case.training)
    columns = {"indices": "array<int>", "values": "array<float>"}
    got = collected(step.transform(frame_of(spark, [*rows, {}], columns)), len(rows) + 1)
    wanted = step.transform_batch(to_batch([*to_rows(case.training), {}]))
    assert [{name: row[name] for name in columns} for row in got] == as_frames_hold_them(wanted)


def test_a_column_of_a_wrong_type_is_refused_before_anything_runs(spark):
    frame = frame_of(spark, [{"f": 3}], {"f": "int"})
    with pytest.raises(DataError, match="f int"):
        Tokenise(("f",), separator=",").transform(frame)
    absent = Tokenise(("g",), separator=",").transform(frame)
    assert collected(absent, 1)[0]["f"] == 3


def test_a_predictor_gives_columns_the_scores_of_the_batch(spark):
    predictor = load_pipeline(shared()[1].folder).predictor
    lake_rows = [*sparse_rows(golden()), {}]
    columns = {"indices": "array<int>", "values": "array<float>"}
    got = collected(predictor.transform(frame_of(spark, lake_rows, columns)), len(lake_rows))
    wanted = predictor.predict_batch(to_batch([*to_rows(golden()), {}]))
    np.testing.assert_array_equal(np.array([row[SCORES] for row in got], np.float32), wanted)
    assert [row["indices"] for row in got] == [row.get("indices") for row in lake_rows]


def golden() -> SparseBatch:
    return load_bundle(shared()[1].folder).golden.batch


def with_words(pipeline: Pipeline):
    """Return the words of each raw feature that has some."""
    vectoriser = pipeline.vectoriser
    words = {name: vectoriser.blocks[where.block].words for name, where in vectoriser.names.items()}
    return {name: mine for name, mine in words.items() if len(mine) > 2}


def test_a_whole_pipeline_gives_records_in_columns_the_scores_of_the_batch(spark):
    pipeline = load_pipeline(shared()[1].folder)
    words = with_words(pipeline)
    known = {name: {word: float(1 + i) for i, word in enumerate(mine[:4])} for name, mine in words.items()}
    first = next(iter(words))
    records = [known, {first: {"never heard of": 3.0}}, {first: None}, {**known, first: {}}]
    frame = frame_of(spark, records, dict.fromkeys(words, "map<string,double>"))
    got = np.array([row[SCORES] for row in collected(pipeline.transform(frame), len(records))], np.float32)
    np.testing.assert_array_equal(got, pipeline.predict_batch(records))
    np.testing.assert_array_equal(got, np.stack([pipeline.predict(record) for record in records]))
    assert (got[0] != got[1]).any()


def test_a_pipeline_with_steps_of_every_sort_gives_columns_the_scores_of_the_batch(spark):
    shop = load_pipeline(shared()[1].folder)
    name, words = next(iter(with_words(shop).items()))
    texts = [", ".join(words[:3]), words[0].upper(), "", None, "nothing known"]
    first = [Tokenise((name,), separator=","), Normalise((name,)), VocabularyLookup((name,)), TruncateOrPad((name,), 4)]
    first[2].fit([{name: list(words)}])
    pipeline = Pipeline([*first, *shop.steps], shop.predictor)
    frame = frame_of(spark, [{name: text} for text in texts], {name: "string"})
    got = np.array([row[SCORES] for row in collected(pipeline.transform(frame), len(texts))], np.float32)
    np.testing.assert_array_equal(got, pipeline.predict_batch([{name: text} for text in texts]))
    assert (got[0] != got[1]).any()
    np.testing.assert_array_equal(got[3], got[4])


def test_a_frame_without_rows_gives_one_without_rows(spark):
    case = CASES["vectorise"]
    pipeline = Pipeline([case.make()], load_pipeline(shared()[1].folder).predictor)
    assert pipeline.transform(frame_of(spark, [], case.columns)).collect() == []
