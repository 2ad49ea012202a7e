"""Vectors hold every category's probability, of the run whose likeliest are published; without the setting there are none."""

import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from propensity.config import load_config
from propensity.contracts import FEATURES, SCORE_VECTORS, SCORES, VECTOR_CATEGORIES
from propensity.delivery.publish import publish
from propensity.delivery.vectors import commit_vectors, read_vectors
from propensity.engine.scoring import score_region
from propensity.engine.vectors import probabilities_of
from propensity.engine.worker_model import Champion
from propensity.errors import DataError
from propensity.features.csr import from_arrow
from propensity.features.windows import training_cutoffs
from propensity.models.loading import load_pipeline
from propensity.pipeline.top_k import sigmoid
from propensity.storage import Lake
from tests.support.scores import run_here
from tests.support.trained import REGION, SCORE_DATE, shared

FIVE = 5


def lake_with(folder: Path, vectors: str) -> Lake:
    """Return a copy of the shared lake whose runs keep such vectors beside the five likeliest."""
    source = shared()[0].config
    if not (folder / "conf").is_dir():
        shutil.copytree(source.folder, folder / "conf")
        shutil.copytree(source.home.parent, folder / "home")
    models = folder / "conf" / "models.yaml"
    models.write_text(yaml.safe_dump(yaml.safe_load(models.read_text()) | {"top_k": FIVE, "scoring": {"vectors": vectors}}))
    return Lake(load_config(folder / "conf", folder / "home"))


def scored(lake: Lake):
    """Score the newest day that has features; return what is staged."""
    trained = shared()[1]
    day = max(training_cutoffs(lake.config, SCORE_DATE))
    champion = Champion(trained.version, trained.digest, trained.folder)
    return score_region(lake, REGION, day, champion, force=False)[0]


def expected(lake: Lake, day: str) -> dict[str, np.ndarray]:
    """Return each customer's probabilities as the pipeline itself says them."""
    trained = shared()[1]
    predictor = load_pipeline(trained.folder, trained.digest).predictor
    rows = lake.read_rows(FEATURES, region=REGION, score_date=day).combine_chunks()
    batch = from_arrow(*(rows[name].combine_chunks() for name in ("indices", "values")))
    return dict(zip(rows["user_id"].to_pylist(), predictor.predict_batch(batch), strict=True))


@pytest.mark.parametrize(("kind", "deviation"), [("float32", 1.2e-7), ("float16", 5e-4)])
def test_a_vector_has_every_category_in_the_order_that_the_lake_tells(tmp_path, kind, deviation):
    lake = lake_with(tmp_path, kind)
    staged = scored(lake)
    assert not lake.files(SCORE_VECTORS)  # nothing is seen before it is published
    assert commit_vectors(lake, staged)
    wanted, seen = expected(lake, staged.score_date), 0
    for rows in read_vectors(lake, REGION, staged.score_date):
        assert rows.run_id == staged.run_id
        assert rows.categories.tolist() == load_pipeline(shared()[1].folder, shared()[1].digest).categories.tolist()
        for user, probabilities in zip(rows.users.to_pylist(), rows.probabilities, strict=True):
            np.testing.assert_allclose(probabilities, wanted[user], rtol=deviation, atol=6e-8 if kind == "float16" else 0)
            seen += 1
    assert seen == len(wanted) > 0


def test_the_likeliest_are_the_highest_of_the_vector(tmp_path):
    lake = lake_with(tmp_path, "float32")
    staged = scored(lake)
    commit_vectors(lake, staged)
    vectors = {}
    for rows in read_vectors(lake, REGION, staged.score_date):
        vectors |= {
            u: dict(zip(rows.categories.tolist(), p, strict=True))
            for u, p in zip(rows.users.to_pylist(), rows.probabilities, strict=True)
        }
    for file in staged.files:
        for row in lake.read(SCORES.name, file).to_pylist():
            mine = vectors[row["user_id"]]
            assert sorted(mine.values(), reverse=True)[:FIVE] == pytest.approx(row["scores"], rel=1.2e-7)
            assert [mine[c] for c in row["categories"]] == pytest.approx(row["scores"], rel=1.2e-7)


def test_publishing_brings_both_and_the_setting_switched_off_takes_the_vectors_away(tmp_path, database_address):
    lake = lake_with(tmp_path, "float16")
    first = scored(lake)
    publish(lake, first, database_address, run_here)
    assert {f.path for f in lake.files(SCORE_VECTORS)} == {f.path for f in first.vectors}
    assert publish(lake, first, database_address, run_here).skipped
    without = lake_with(tmp_path, "none")
    second = scored(without)
    assert second.run_id != first.run_id
    publish(without, second, database_address, run_here)
    assert not without.files(SCORE_VECTORS)
    assert without.files(VECTOR_CATEGORIES)  # still tells how older versions of the table are to be read
    with pytest.raises(DataError, match="no vectors are published"):
        next(read_vectors(without, REGION, second.score_date))


def test_a_run_whose_vectors_are_gone_makes_them_again(tmp_path):
    lake = lake_with(tmp_path, "float32")
    staged = scored(lake)
    gone = staged.vectors[0]
    path = Path(lake.path(SCORE_VECTORS.name, gone.path))
    before = path.read_bytes()
    path.unlink()
    assert scored(lake) == staged
    assert path.read_bytes() == before


@given(arrays(np.float32, st.tuples(st.integers(0, 5), st.integers(1, 70)), elements=st.floats(width=32, allow_nan=True)))
def test_probabilities_are_those_of_the_sigmoid(logits):
    column = probabilities_of(logits, "float32")
    assert column.type == pa.binary(4 * logits.shape[1])
    found = np.frombuffer(b"".join(column.to_pylist()), "<f4").reshape(logits.shape)
    wanted = sigmoid(logits)
    assert (np.isnan(found) == np.isnan(wanted)).all()
    np.testing.assert_array_max_ulp(found[~np.isnan(found)], wanted[~np.isnan(wanted)], 1)
