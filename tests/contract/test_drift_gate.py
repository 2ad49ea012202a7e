"""The gate of drift: a suite stops what a run without one only keeps."""

from argparse import Namespace

import pytest
from jobs import drift as job
from jobs import gate

from propensity.contracts import DRIFT, SCORES
from propensity.errors import DataError, GateError
from propensity.quality.gate import Subject
from propensity.storage import Lake
from tests.support.drift import TOMORROW, champion_of, gated, put_tomorrow, score_here, words_renamed
from tests.support.online import copied_lake
from tests.support.trained import REGION, shared


@pytest.fixture(scope="module")
def lake(tmp_path_factory):
    return copied_lake(tmp_path_factory.mktemp("drift"))


def arguments(staged) -> Namespace:
    champion = champion_of(shared()[0])
    return Namespace(
        region=REGION, score_date=TOMORROW, run_id=staged.run_id, version=champion.version, digest=champion.digest, force=False
    )


def test_a_suite_stops_what_a_run_without_one_only_keeps(lake):
    put_tomorrow(lake, words_renamed)
    staged = score_here(lake)
    ungated = lake.config.quality.model_copy(update={"drift": ()})
    plain = Lake(lake.config.model_copy(update={"quality": ungated}))
    assert job.body(plain, arguments(staged))["checks"] == 0
    strict = gated(lake, "field_unknown_share", max_value=0.5)
    with pytest.raises(
        GateError, match=rf"gate drift, {REGION}, {TOMORROW}.*of field_unknown_share failed.*observed 1.0.*order.brand"
    ):
        job.body(strict, arguments(staged))
    kept = lake.read_rows(DRIFT, region=REGION, score_date=TOMORROW.isoformat()).to_pylist()
    bounds = {r["measure"]: (r["at_least"], r["at_most"]) for r in kept}
    assert (bounds["field_unknown_share"], bounds["unknown_share"]) == ((None, 0.5), (None, None))
    assert lake.files(SCORES, score_date=TOMORROW.isoformat()) == []
    loose = gated(lake, "field_unknown_share", max_value=1.0)
    assert job.body(loose, arguments(staged))["checks"] == 1
    assert job.body(loose, arguments(staged))["skipped"]


def test_the_gate_of_a_run_that_nobody_measured_stays_shut(lake):
    put_tomorrow(lake, words_renamed)
    wanted = Namespace(score_date=TOMORROW, run_id="another")
    with pytest.raises(DataError, match=r"was not measured.*jobs/drift.py"):
        gate.collect(lake, Subject("drift", REGION, str(TOMORROW)), wanted)
