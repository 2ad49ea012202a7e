"""Every shipped step keeps the contract of steps."""

import pytest

from propensity.pipeline.steps import KINDS, SHIPPED
from tests.contract.transformers import RecordStepContract, SparseStepContract
from tests.support.steps import CASES, RecordCase, SparseCase

OVER_RECORDS = [kind for kind, case in CASES.items() if isinstance(case, RecordCase)]
OVER_ROWS = [kind for kind, case in CASES.items() if isinstance(case, SparseCase)]


class TestStepsOverRecords(RecordStepContract):
    @pytest.fixture(params=OVER_RECORDS)
    def case(self, request: pytest.FixtureRequest) -> RecordCase:
        case = CASES[request.param]
        assert isinstance(case, RecordCase)
        return case


class TestStepsOverRows(SparseStepContract):
    @pytest.fixture(params=OVER_ROWS)
    def case(self, request: pytest.FixtureRequest) -> SparseCase:
        case = CASES[request.param]
        assert isinstance(case, SparseCase)
        return case


def test_the_suite_covers_the_shipped_steps_and_no_other() -> None:
    assert sorted(CASES) == sorted(step.kind for step in SHIPPED) == sorted(KINDS)
    assert {type(case.make()) for case in CASES.values()} == set(SHIPPED)
    assert {kind: type(case.make()) for kind, case in CASES.items()} == dict(KINDS)
