"""A step in this process does what it does on Spark: results in order, one error, progress told, the model loaded once."""

import contextlib
import io
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.online import NEWEST, copied_lake
from tests.support.tasks import ten_times_but_three
from tests.support.trained import REGION, shared

from propensity.engine import buckets, worker_model
from propensity.engine.scoring import score_region
from propensity.engine.worker_model import Champion, model_of
from propensity.errors import BundleError, DataError

AT_ONCE = 8


@given(st.lists(st.integers().filter(lambda item: item != 3), max_size=50), st.integers())
def test_it_is_the_list_of_results(items, shared):
    assert buckets.map_here(ten_times_but_three, items, shared) == [item * shared for item in items]


@given(st.lists(st.integers(0, 3), min_size=1, max_size=20).filter(lambda items: 3 in items))
def test_a_refusal_is_raised_as_itself(items):
    with pytest.raises(DataError, match="item 3: no good"):
        buckets.map_here(ten_times_but_three, items, 10)


def test_the_first_error_in_the_order_of_the_items_is_raised_whichever_comes_first():
    later = threading.Event()

    def fail(item, _):
        if item == 0:
            assert later.wait(60)
        else:
            later.set()
        raise DataError(f"number {item}")

    with pytest.raises(DataError, match="number 0"):
        buckets.map_here(fail, [0, 1], None)


def test_it_says_how_far_it_is(monkeypatch):
    class Heard(io.StringIO):
        def write(self, text):
            if "coast: buckets scored: 1 of 2" in text:
                told.set()
            return super().write(text)

    def wait_for_word(item, _):
        return item == 0 or told.wait(60)

    told = threading.Event()
    monkeypatch.setattr(buckets, "TOLD_SECONDS", 0.01)
    with contextlib.redirect_stdout(Heard()):
        assert buckets.map_here(wait_for_word, [0, 1], None, "coast: buckets scored") == [True, True]


@pytest.fixture
def nothing_loaded():
    worker_model._models.clear()
    yield
    worker_model._models.clear()


@pytest.mark.usefixtures("nothing_loaded")
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_threads_that_ask_at_once_share_one_model(precision):
    lake, made = shared()
    champion = Champion(made.version, made.digest, lake.config.home / "models" / REGION / made.version)
    together = threading.Barrier(AT_ONCE)

    def ask(_):
        together.wait(60)
        return model_of(champion, lake.config, precision)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        models = list(pool.map(ask, range(AT_ONCE)))
    assert all(model is models[0] for model in models)


@pytest.mark.usefixtures("nothing_loaded")
def test_a_model_that_does_not_load_does_not_bar_the_next_one():
    lake, made = shared()
    folder = lake.config.home / "models" / REGION
    with pytest.raises(BundleError, match="no such bundle"):
        model_of(Champion("gone", "0", folder / "gone"), lake.config, "float32")
    assert model_of(Champion(made.version, made.digest, folder / made.version), lake.config, "float32")


@pytest.mark.usefixtures("nothing_loaded")
def test_a_refusal_leaves_nothing_behind(tmp_path):
    lake = copied_lake(tmp_path)
    with pytest.raises(BundleError, match="no such bundle"):
        score_region(lake, REGION, NEWEST, Champion("gone", "0", tmp_path / "gone"), force=False)
    assert not list((lake.config.home / "staging" / "scores").glob("*"))
    assert not list(Path(lake.path("scores")).rglob("*.parquet*"))
