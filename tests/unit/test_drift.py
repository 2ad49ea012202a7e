"""Drift: what is counted, what is made of it, and that every planted fault is seen in the measure that is meant for it."""

import datetime as dt
import json
import math
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.drift import (
    TOMORROW,
    as_it_was,
    champion_of,
    field_missing,
    gated,
    put_tomorrow,
    score_here,
    values_times_ten,
    words_renamed,
)
from tests.support.online import NEWEST, copied_lake
from tests.support.sparse import rows as sparse_rows
from tests.support.sparse import to_batch
from tests.support.trained import REGION, SCORE_DATE, shared

from propensity.contracts import DRIFT, DRIFT_MEASURES
from propensity.errors import DataError
from propensity.evaluation.drift import Day, measures, psi
from propensity.evaluation.drift_table import bounds_of, measure_run
from propensity.models.distributions import ENTRY_BINS, SCORE_BINS, VALUE_BINS, DayCounter, Groups, added
from propensity.pipeline.bundle import load_bundle
from propensity.pipeline.predictor import Scores
from propensity.quality.rows import drift_rows

histograms = st.integers(2, 12).flatmap(
    lambda bins: st.tuples(*[st.lists(st.integers(0, 1000), min_size=bins, max_size=bins)] * 2)
)


@given(histograms)
def test_the_index_is_never_negative_and_the_same_both_ways(pair):
    one, other = pair
    assert psi(one, other) >= 0
    assert psi(one, other) == pytest.approx(psi(other, one))
    assert math.isfinite(psi(one, other))


@given(st.lists(st.integers(0, 1000), min_size=2, max_size=12), st.integers(1, 50))
def test_the_index_is_nothing_for_the_same_shares(counts, times):
    assert psi(counts, counts) == 0
    assert psi(counts, [times * n for n in counts]) == pytest.approx(0, abs=1e-12)


def test_the_index_of_a_known_pair():
    assert psi([50, 50], [90, 10]) == pytest.approx(0.4 * math.log(9), abs=1e-12)  # 0.4 ln(.9/.5) + 0.4 ln(.5/.1)
    assert psi([100, 0], [0, 100]) > psi([100, 0], [50, 50]) > psi([100, 0], [90, 10]) > 0


# Tokens 0-2 are of the first field, 3 of the second, 4 of none; slots 0, 1 of the first field, 1 of the second.
GROUPS = Groups(
    ("a.x.count_7", "a.x.recency", "a.y.recency"), ("a.x", "a.y"), np.array([0, 0, 0, 1, 2, 2], np.int16),
    np.array([0, 1, *[3] * 31, 2, *[3] * 62], np.int16), 1,
)  # fmt: skip
KNOWN = np.array([0, 1, 33, 97], np.int32)


def scores_of(probabilities: list[list[float]]) -> Scores:
    array = np.array(probabilities, np.float32)
    return Scores(np.zeros(array.shape, np.int32), array, np.ones(len(array), np.uint8))


def counted(rows: list[dict[int, float]], probabilities: list[list[float]], batch: int = 1000) -> dict:
    counter = DayCounter(GROUPS, KNOWN)
    for at in range(0, len(rows), batch):
        counter.add(to_batch(rows[at : at + batch]), scores_of(probabilities[at : at + batch]))
    return counter.counts()


def unit(count: int) -> list[list[float]]:
    return np.sort(np.random.default_rng(0).random((count, 3)).astype(np.float32), axis=1)[:, ::-1].tolist()


@given(sparse_rows(200, least=1), st.integers(1, 5), st.data())
def test_batches_and_buckets_add_up_to_the_whole(rows, batch, data):
    at = data.draw(st.integers(0, len(rows)))
    probabilities = unit(len(rows))
    whole = counted(rows, probabilities)
    assert counted(rows, probabilities, batch) == whole
    parts = [counted(rows[:at], probabilities[:at]), counted(rows[at:], probabilities[at:])]
    joined = added([part for part in parts if part["customers"]])
    assert joined["scores"].pop("expected") == pytest.approx(whole["scores"].pop("expected"))
    assert joined == whole
    json.dumps(whole, allow_nan=False)


@given(sparse_rows(200, least=1))
def test_every_entry_is_in_one_bin_of_its_group_and_every_customer_too(rows):
    counts = counted(rows, unit(len(rows)))
    entries = [(i // 32, i % 32) for row in rows for i in row]
    field = [GROUPS.field_of[min(token, 5)] for token, _ in entries]
    assert counts["fields"]["a.x"][0] == field.count(0)
    assert counts["fields"]["other"][0] == field.count(2)
    assert sum(unknown for _, unknown in counts["fields"].values()) == sum(i not in KNOWN for row in rows for i in row)
    for n, name in enumerate(GROUPS.names):
        mine = [GROUPS.group_of[f * 32 + slot] for f, (_, slot) in zip(field, entries, strict=True)]
        assert sum(counts["values"][name]) == mine.count(n)
        assert sum(counts["entries"][name]) == len(rows)
    assert counts["recency"] == max((v for row in rows for i, v in row.items() if i % 32 == 1), default=0)


@given(st.floats(-20, 40, width=32).filter(lambda v: v != 0))
def test_a_value_is_in_its_half_octave(value):
    (place,) = np.flatnonzero(counted([{0: value}], unit(1))["values"]["a.x.count_7"])
    if value < 0:
        assert place == 0
    elif value < 2**-6:
        assert place == 1
    elif value >= 2**4:
        assert place == VALUE_BINS - 1
    else:
        octave = math.floor(math.log2(value))
        assert place == 2 + 2 * (octave + 6) + (value >= 1.5 * 2.0**octave)


@given(st.floats(0, 1, width=32))
def test_a_probability_is_in_its_octave_and_its_complement_mirrored(p):
    (place,) = np.flatnonzero(counted([{}], [[p]])["scores"]["pairs"])
    near = min(p, float(np.float32(1) - np.float32(p)))
    octave = max(17 + math.floor(math.log2(near)), 0) if near > 0 else 0
    octave = min(octave, 15)
    assert place == (SCORE_BINS - 1 - octave if p >= 0.5 else octave)


@pytest.mark.parametrize(("entries", "place"), [(0, 0), (1, 1), (2, 2), (3, 2)])
def test_a_customer_is_in_the_bin_of_the_number_of_features(entries, place):
    found = counted([{32 * token: 1.0 for token in range(entries)}], unit(1))["entries"]["a.x.count_7"]
    assert found == [int(n == place) for n in range(ENTRY_BINS)]


def test_what_is_no_number_is_left_out_of_the_scores():
    scores = counted([{}, {}], [[math.nan, 0.5], [math.inf, 0.25]])["scores"]
    assert (sum(scores["pairs"]), sum(scores["highest"]), scores["expected"]) == (2, 0, 0.75)


DAY = Day(3, dt.date(2025, 1, 4), dt.date(2025, 1, 6), dt.date(2025, 1, 1))
ROWS = [{0: 1.0, 32: 2.0, 1: math.exp(-3 / 28)}, {97: 0.5, 32: 1.0}, {}]


def table(found) -> dict[tuple[str, str], tuple[float, float | None]]:
    result = {(m.measure, m.group): (m.value, m.reference) for m in found}
    assert len(result) == len(found), "a key stands twice"
    assert {name for name, _ in result} <= set(DRIFT_MEASURES)
    return result


def test_a_day_like_its_reference_has_no_drift():
    counts = counted(ROWS, unit(3))
    found = table(measures(DAY, counts, {"total": 3, **counts}))
    assert {name for name, _ in found} == set(DRIFT_MEASURES)
    for (name, group), (value, reference) in found.items():
        if reference is not None:
            assert value == pytest.approx(reference), (name, group)
    assert found["unknown_share", "all"][0] == pytest.approx(2 / 5)  # token 1's count, twice
    assert found["coverage", "a.x.count_7"][0] == pytest.approx(2 / 3)
    assert found["days_since_event", "all"] == (3, 3)
    assert found["days_since_landed", "all"] == (2, None)
    assert found["champion_age_days", "all"] == (5, None)


@pytest.mark.parametrize("reference", [None, {"format": -1}])
def test_without_a_reference_nothing_is_compared(reference):
    found = table(measures(DAY, counted(ROWS, unit(3)), reference))
    assert not {name for name, _ in found if name.endswith(("psi", "ratio"))}
    assert {reference for _, reference in found.values()} == {None}
    assert ("unknown_share", "all") in found


def test_sums_over_another_number_of_categories_are_not_compared():
    wide, narrow = counted(ROWS, unit(3)), counted(ROWS, [row[:2] for row in unit(3)])
    found = table(measures(DAY, narrow, {"total": 3, **wide}))
    assert ("score_psi", "all") not in found
    assert found["top_score_psi", "all"] == (0, 0)
    assert found["expected_acts", "all"][1] is None


@pytest.fixture(scope="module")
def lake(tmp_path_factory):
    return copied_lake(tmp_path_factory.mktemp("drift"))


def measured(lake, change, **where):
    put_tomorrow(lake, change)
    staged = score_here(lake)
    champion = champion_of(lake)
    assert measure_run(lake, staged, champion.folder, champion.digest) == (True, True)
    rows = lake.read_rows(DRIFT, region=REGION, score_date=TOMORROW.isoformat()).to_pylist()
    assert {(r["run_id"], r["model_version"]) for r in rows} == {(staged.run_id, champion.version)}
    return {(r["measure"], r["group"]): (r["value"], r["reference"]) for r in rows}


def test_the_reference_is_that_of_the_newest_training_window():
    manifest = load_bundle(shared()[1].folder).manifest
    reference = manifest["reference"]
    assert reference["cutoff"] == manifest["data"]["windows"][0]
    assert reference["customers"] == reference["total"] == sum(reference["scores"]["highest"])
    assert len(json.dumps(reference)) < 16_000


def test_planted_drift_is_seen_where_it_is_and_nowhere_else(lake):
    calm = measured(lake, as_it_was)
    assert calm["unknown_share", "all"][0] < 0.5
    assert max(value for (name, _), (value, _) in calm.items() if name == "value_psi") < 0.5

    missing = measured(lake, field_missing)
    assert missing["coverage", "order.brand.count_30"] == (0, calm["coverage", "order.brand.count_30"][1])
    assert missing["entries_psi", "order.brand.count_30"][0] > 2
    assert missing["coverage", "order.topic.count_30"] == calm["coverage", "order.topic.count_30"]

    tenfold = measured(lake, values_times_ten)
    assert tenfold["value_psi", "order.brand.value_30"][0] > 2
    assert tenfold["entries_psi", "order.brand.value_30"] == calm["entries_psi", "order.brand.value_30"]
    assert tenfold["value_psi", "order.topic.count_30"] == calm["value_psi", "order.topic.count_30"]

    renamed = measured(lake, words_renamed)
    assert renamed["field_unknown_share", "order.brand"][0] == 1
    assert renamed["field_unknown_share", "order.topic"] == calm["field_unknown_share", "order.topic"]
    assert renamed["unknown_share", "all"][0] > calm["unknown_share", "all"][0]
    assert renamed["value_psi", "order.brand.count_30"] == calm["value_psi", "order.brand.count_30"]


def test_the_gate_reads_a_row_for_each_group_the_whole_first(lake):
    put_tomorrow(lake, as_it_was)
    staged, champion = score_here(lake), champion_of(lake)
    measure_run(lake, staged, champion.folder, champion.digest)
    assert measure_run(lake, staged, champion.folder, champion.digest) == (False, True)
    rows, _ = drift_rows(lake, REGION, TOMORROW.isoformat(), staged.run_id)
    assert rows[0]["part"] == "all"
    assert all(set(row) == {"part", *DRIFT_MEASURES} for row in rows)
    assert drift_rows(lake, REGION, TOMORROW.isoformat(), "another") == ([], {})
    assert drift_rows(lake, REGION, NEWEST.isoformat(), staged.run_id) == ([], {})


def test_files_that_nobody_counted_are_refused(lake):
    staged, champion = score_here(lake, NEWEST), champion_of(lake)
    bare = [type(f)(f.path, f.partition, f.rows, f.size) for f in staged.files]
    with pytest.raises(DataError, match=r"without distributions.*jobs/score.py"):
        measure_run(lake, type(staged)(**{**vars(staged), "files": tuple(bare)}), champion.folder, champion.digest)


def test_the_narrowest_bounds_are_shown(lake):
    suite = [
        e
        for b in ({"max_value": 3}, {"max_value": 2, "min_value": 0.5})
        for e in gated(lake, "customers", **b).config.quality.drift
    ]
    assert bounds_of(suite) == {"customers": (0.5, 2.0)}
    assert SCORE_DATE > TOMORROW


def test_the_query_of_the_operations_page_finds_what_moved(lake, capsys):
    measured(lake, field_missing)
    page = (Path(__file__).parents[2] / "docs" / "operations.md").read_text()
    (example,) = (
        block for block in re.findall(r"^```python\n(.*?)^```$", page, re.DOTALL | re.MULTILINE) if "DeltaTable" in block
    )
    exec(example.replace("var/complete_journey/lake", lake.config.lake), {})  # noqa: S102  # the very text that people copy
    printed = capsys.readouterr().out
    assert "entries_psi" in printed
    assert "order.brand.count_30" in printed
    assert "champion_age_days" in printed
