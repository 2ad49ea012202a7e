"""The examples of the pages that say how to add something: they run, print what the page says, and keep the contracts."""

import importlib.util
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from hypothesis import strategies as st

from propensity.models import loading
from propensity.pipeline import steps
from tests.contract.predictors import PredictorContract
from tests.contract.transformers import RecordStepContract
from tests.support.steps import NO_FEATURES, RecordCase

ROOT = Path(__file__).parents[2]
PAGES = ("add_a_feature", "add_a_transformer", "add_a_model")
LONGEST = 40


def blocks(page: str, language: str) -> list[str]:
    text = (ROOT / "docs" / f"{page}.md").read_text()
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("page", PAGES)
def test_the_example_is_short_and_prints_what_the_page_says(tmp_path: Path, page: str) -> None:
    (example,), (printed,) = blocks(page, "python"), blocks(page, "text")
    assert len([line for line in example.splitlines() if line.strip()]) < LONGEST
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "PYTHONWARNINGS": "error"}
    done = subprocess.run(
        [sys.executable, "-c", example], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == printed


@pytest.fixture(scope="module")
def example(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModuleType]:
    """The module that a page's example is, run in a folder of its own and forgotten afterwards."""
    page = request.param
    path = tmp_path_factory.mktemp(page) / f"{page}.py"
    path.write_text(blocks(page, "python")[0])
    spec = importlib.util.spec_from_file_location(page, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    before, kinds, models = Path.cwd(), dict(steps.KINDS), dict(loading.KINDS)
    sys.modules[page] = module
    os.chdir(path.parent)
    try:
        spec.loader.exec_module(module)
        yield module
    finally:
        os.chdir(before)
        del sys.modules[page]
        for known, kept in ((steps.KINDS, kinds), (loading.KINDS, models)):
            known.clear()
            known.update(kept)


@pytest.mark.parametrize("example", ["add_a_transformer"], indirect=True)
class TestTheTransformer(RecordStepContract):
    @pytest.fixture
    def case(self, example: ModuleType) -> RecordCase:
        values = st.text(alphabet="ab/", max_size=8)
        return RecordCase(
            lambda: example.Ancestors(["last"]), {"last": values}, {"last": "string"}, example.records, [*NO_FEATURES, 3, ["a"]]
        )

    def test_a_path_becomes_all_that_it_lies_in(self, example: ModuleType) -> None:
        step = example.Ancestors(["last"])
        assert step.transform_one({"last": "dairy/milk"}) == {"last": ["dairy", "dairy/milk"]}


@pytest.mark.parametrize("example", ["add_a_model"], indirect=True)
class TestTheModel(PredictorContract):
    tolerance = 0.0

    @pytest.fixture
    def folder(self, example: ModuleType) -> Path:
        return Path(example.__file__ or "").parent / "bundle"

    def test_what_was_bought_by_those_who_acted_speaks_for_acting(self, example: ModuleType) -> None:
        milk, wine = (example.vectoriser.transform_one({"bought": word}) for word in ("milk", "wine"))
        assert np.diff(example.model.predict(milk)) < 0 < np.diff(example.model.predict(wine))
