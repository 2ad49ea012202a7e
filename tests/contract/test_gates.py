"""Gates: what they stop, what they say, and that a verdict is not made twice."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from propensity.config import Expectation, Quality
from propensity.errors import ConfigError, GateError
from propensity.quality.gate import Subject, check, data_docs, kept_verdicts
from tests.support.shop import make_config

CLEAN = {
    "events": 100, "expected": 100, "users": 20, "duplicated": 0, "outside_day": 0, "negative_value": 0, "null_user": 0,
    "null_time": 0, "missing_required": 1, "unknown_region": 0, "duplicated_share": 0.0, "missing_share": 0.01,
}  # fmt: skip
DAYS = [{"part": f"2025-03-{day:02d}", **CLEAN} for day in range(1, 6)]
EVENTS = Subject("events", "alps", "2025-03-06")


def with_day(**changes: float) -> list[dict]:
    return [*DAYS[:2], {**DAYS[2], **changes}, *DAYS[3:]]


@pytest.fixture
def config(tmp_path):
    return make_config(tmp_path)


def test_clean_days_pass_and_leave_pages(config):
    verdict = check(config, EVENTS, DAYS, {}).demand()
    assert verdict.passed
    assert len(verdict.checks) == len(config.quality.events)
    assert verdict.docs == data_docs(config) / "events" / "alps" / "2025-03-06" / "index.html"
    assert "passed" in verdict.docs.read_text()
    assert "Validation Result" in verdict.docs.with_name("great_expectations.html").read_text()
    assert "events/alps/2025-03-06/index.html" in (data_docs(config) / "index.html").read_text()


BAD = [
    ({"expected": 0}, "expected", 1, "the day is empty"),
    ({"duplicated": 30, "duplicated_share": 0.3}, "duplicated_share", 30, "more than once"),
    ({"outside_day": 7}, "outside_day", 7, "outside the day"),
    ({"negative_value": 8}, "negative_value", 8, "less than nothing"),
    ({"unknown_region": 9}, "unknown_region", 9, "no configured region"),
    ({"null_user": 2}, "null_user", 2, "lack the user id"),
    ({"null_time": 3}, "null_time", 3, "lack the event time"),
    ({"missing_required": 50, "missing_share": 0.5}, "missing_share", 50, "lack a required field"),
]


@pytest.mark.parametrize(("changes", "column", "rows", "words"), BAD, ids=[b[1] for b in BAD])
def test_a_bad_day_is_stopped_with_check_count_and_five_examples(config, changes, column, rows, words):
    examples = {name: [f"user {n} of {name}" for n in range(5)] for name in CLEAN}
    verdict = check(config, EVENTS, with_day(**changes), examples)
    assert [(c.column, c.rows) for c in verdict.failures] == [(column, rows)]
    with pytest.raises(GateError) as caught:
        verdict.demand()
    line = str(caught.value)
    assert "\n" not in line
    for part in (words, column, f"({rows:,} in all)", "gate events, alps, 2025-03-06", str(verdict.docs)):
        assert part in line
    counted = next(e.examples for e in config.quality.events if e.args["column"] == column)
    for text in examples[counted] if counted else ["2025-03-03, expected 0"]:
        assert text in line
        assert text in verdict.docs.read_text()


def test_several_failures_are_all_named(config):
    with pytest.raises(GateError, match=r"outside_day failed.*2 more checks fail: negative_value, unknown_region"):
        check(config, EVENTS, with_day(outside_day=1, negative_value=2, unknown_region=3), {}).demand()


def test_a_kept_verdict_is_given_again_until_suite_statistics_or_pages_change(config):
    first = check(config, EVENTS, DAYS, {})
    again = check(config, EVENTS, DAYS, {})
    assert (first.cached, again.cached) == (False, True)
    assert again.checks == first.checks
    assert not check(config, EVENTS, with_day(events=5), {}).cached
    assert not check(config, EVENTS, DAYS, {}).cached  # the other table's verdict took its place
    stricter = [*config.quality.events, Expectation(expect="ExpectTableRowCountToBeBetween", says="many", args={"min_value": 2})]
    changed = config.model_copy(update={"quality": config.quality.model_copy(update={"events": tuple(stricter)})})
    assert not check(changed, EVENTS, DAYS, {}).cached
    check(config, EVENTS, DAYS, {}).docs.unlink()
    assert not check(config, EVENTS, DAYS, {}).cached


def test_a_verdict_that_an_older_version_kept_is_made_again(config):
    path = config.home / "verdicts" / "events" / "alps" / "2025-03-06.json"
    check(config, EVENTS, DAYS, {})
    path.write_text(json.dumps({"digest": json.loads(path.read_text())["digest"], "checks": [{"name": "old"}]}))
    assert kept_verdicts(config) == []
    assert not check(config, EVENTS, DAYS, {}).cached
    assert len(kept_verdicts(config)) == 1


def test_a_kept_failure_fails_again(config):
    for _ in range(2):
        with pytest.raises(GateError, match="outside_day"):
            check(config, EVENTS, with_day(outside_day=1), {}).demand()


SECOND = """
import sys
from propensity.config import load_config
from propensity.quality.gate import Subject, check
import json
config = load_config(sys.argv[1], sys.argv[2])
assert check(config, Subject("events", "alps", "2025-03-06"), json.loads(sys.argv[3]), {}).cached
assert not {"great_expectations", "pandas"} & set(sys.modules)
"""


def test_a_kept_verdict_needs_neither_great_expectations_nor_pandas(config, tmp_path):
    check(config, EVENTS, DAYS, {})
    command = [sys.executable, "-c", SECOND, str(tmp_path / "conf"), str(tmp_path / "home"), json.dumps(DAYS)]
    subprocess.run(command, check=True, env={"PYTHONPATH": str(Path(__file__).parents[2] / "src")})


def test_regions_and_purposes_have_pages_of_their_own(config):
    for region in ("alps", "coast"):
        for purpose in ("training", "scoring"):
            check(config, Subject("events", region, "2025-03-06", purpose), DAYS, {})
    assert len(kept_verdicts(config)) == 4
    assert (data_docs(config) / "index.html").read_text().count("<a href=") == 4


def test_pages_show_examples_as_text_and_ask_no_other_host(config):
    nasty = "<script>alert(1)</script>"
    verdict = check(config, EVENTS, with_day(outside_day=1), {"outside_day": [nasty]})
    for page in (verdict.docs, verdict.docs.with_name("great_expectations.html"), data_docs(config) / "index.html"):
        text = page.read_text()
        assert "<script" not in text
        assert "src=" not in text
        assert "http" not in text.replace("http://www.w3.org", "")


def suite(config, *expectations: Expectation):
    return config.model_copy(update={"quality": config.quality.model_copy(update={"events": expectations})})


def test_a_column_nobody_counts_is_a_mistake_of_the_configuration(config):
    wrong = Expectation(expect="ExpectColumnMaxToBeBetween", says="x", args={"column": "evnts", "max_value": 1})
    with pytest.raises(ConfigError, match=r"no statistic is called evnts.*choose from.*events"):
        check(suite(config, wrong), EVENTS, DAYS, {})


def test_an_expectation_that_does_not_exist_is_a_mistake_of_the_configuration(config):
    wrong = Expectation(expect="ExpectColumnMaxToBeBetwene", says="x", args={"column": "events", "max_value": 1})
    with pytest.raises(ConfigError, match=r"has no ExpectColumnMaxToBeBetwene.*such as ExpectColumnMaxToBeBetween"):
        check(suite(config, wrong), EVENTS, DAYS, {})


def test_arguments_that_do_not_fit_are_a_mistake_of_the_configuration(config):
    wrong = Expectation(expect="ExpectColumnMaxToBeBetween", says="x", args={"column": "events", "most": 1})
    with pytest.raises(ConfigError, match=r"ExpectColumnMaxToBeBetween does not take these arguments.*most"):
        check(suite(config, wrong), EVENTS, DAYS, {})


def test_expectations_of_the_whole_table_work_too(config):
    """Quantiles return numpy bools, which Great Expectations itself cannot write."""
    quantiles = {"quantiles": [0.5], "value_ranges": [[200, 300]]}
    expectations = (
        Expectation(
            expect="ExpectColumnQuantileValuesToBeBetween", says="q", args={"column": "events", "quantile_ranges": quantiles}
        ),
        Expectation(expect="ExpectColumnMeanToBeBetween", says="m", args={"column": "users", "min_value": 1}),
        Expectation(expect="ExpectTableRowCountToBeBetween", says="n", args={"min_value": 9}),
    )
    verdict = check(suite(config, *expectations), EVENTS, DAYS, {})
    assert [c.passed for c in verdict.checks] == [False, True, False]
    assert [c.observed for c in verdict.checks][1:] == ["20.0", "5"]


def test_no_rows_fail_where_the_suite_wants_some(config):
    verdict = check(config, Subject("features", "alps", "2025-03-06"), [], {})
    assert "ExpectTableRowCountToBeBetween" in {c.check for c in verdict.failures}


def test_the_two_suites_in_the_repository_are_the_same_and_speak_plainly():
    root = Path(__file__).parents[2]
    suites = [yaml.safe_load((root / folder / "quality.yaml").read_text()) for folder in ("conf", "docs/own_events/conf")]
    assert suites[0] == suites[1]
    for stage, expectations in Quality.model_validate(suites[0]):
        for expectation in expectations:
            assert ";" in expectation.says, f"{stage}: say what it means; and what to do: {expectation.says}"
