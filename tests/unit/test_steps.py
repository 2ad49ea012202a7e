"""What each step says it does; what all of them have in common is in tests/contract/transformers.py."""

import math
import unicodedata
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.sparse import rows, to_batch, to_rows

from propensity.errors import DataError
from propensity.features.csr import SparseBatch
from propensity.pipeline.decayed_counts import DecayedCounts
from propensity.pipeline.lookup import VocabularyLookup
from propensity.pipeline.named import NamedTransformer
from propensity.pipeline.numeric import Clip, Decay, DropZeros, Log1p
from propensity.pipeline.standardise import Standardise
from propensity.pipeline.text import Normalise, Tokenise, TruncateOrPad, normalised
from propensity.pipeline.vectoriser import Vectoriser

NAMES = ("f",)


def becomes(step: NamedTransformer, value: Any) -> Any:
    return step.transform_one({"f": value, "other": 1})["f"]


def test_a_decayed_count_adds_up_what_is_left_of_each_event() -> None:
    step = DecayedCounts(NAMES, 10)
    assert becomes(step, [0, 10, 20.0]) == pytest.approx(1 + math.exp(-1) + math.exp(-2), rel=1e-15)
    assert becomes(step, {"tea": [0], "milk": []}) == {"tea": 1.0, "milk": 0.0}
    assert becomes(step, []) == 0.0


@given(st.lists(st.floats(0, 1000)), st.randoms())
def test_the_order_of_events_does_not_change_a_bit(days: list[float], random: Any) -> None:
    shuffled = random.sample(days, len(days))
    assert becomes(DecayedCounts(NAMES, 28), shuffled) == becomes(DecayedCounts(NAMES, 28), days)


def test_words_are_found_by_a_pattern_or_between_separators() -> None:
    assert becomes(Tokenise(NAMES, pattern=r"\w+"), "oat-milk, 2 l!") == ["oat", "milk", "2", "l"]
    assert becomes(Tokenise(NAMES, pattern="x*"), "axx") == ["xx"]
    assert becomes(Tokenise(NAMES, separator=","), " oat milk ,, tea,") == ["oat milk", "tea"]
    assert becomes(Tokenise(NAMES, pattern="(a)(b)?"), "ab a") == ["ab", "a"]


def test_words_written_alike_are_one() -> None:
    step = Normalise(NAMES)
    assert becomes(step, "  ＣＡＦＥ\u0301\u00a0 Noir ") == "café noir"
    assert becomes(step, ["Straße", "STRASSE"]) == ["strasse", "strasse"]
    assert becomes(step, {"Tea": 1, "TEA": 2.5, "milk": -1}) == {"tea": 3.5, "milk": -1.0}


@given(st.text())
def test_what_is_normalised_stays_as_it_is(word: str) -> None:
    assert normalised(normalised(word)) == normalised(word)
    assert normalised(unicodedata.normalize("NFD", word)) == normalised(word)


@given(st.dictionaries(st.sampled_from(["a", "A", "ａ", "b", "B "]), st.floats(-1e6, 1e6)), st.randoms())
def test_the_order_of_a_map_does_not_change_a_bit(words: dict[str, float], random: Any) -> None:
    shuffled = dict(random.sample(list(words.items()), len(words)))
    assert becomes(Normalise(NAMES), shuffled) == becomes(Normalise(NAMES), words)


RECORDS = [{"f": ["tea", "milk", "tea"]}, {"f": ["milk", "ale", "rum"]}, {"f": None}, {}]


def test_frequent_words_are_learned_the_most_frequent_first_then_by_alphabet() -> None:
    assert VocabularyLookup(NAMES).fit(RECORDS).words_ == {"f": ("milk", "tea", "ale", "rum")}
    assert VocabularyLookup(NAMES, min_count=2).fit(RECORDS).words_ == {"f": ("milk", "tea")}
    assert VocabularyLookup(NAMES, max_size=3).fit(RECORDS).words_ == {"f": ("milk", "tea", "ale")}


def test_each_feature_has_words_of_its_own() -> None:
    step = VocabularyLookup(("f", "g")).fit([{"f": ["tea"], "g": ["red"]}])
    assert step.transform_one({"f": ["red", "tea"], "g": ["red", "tea"]}) == {"f": ["tea"], "g": ["red"]}


def test_unknown_words_are_dropped_or_counted_as_one_word() -> None:
    given_words = ["gin", "tea", "fig", "tea"]
    assert becomes(VocabularyLookup(NAMES).fit(RECORDS), given_words) == ["tea", "tea"]
    step = VocabularyLookup(NAMES, unknown="<unknown>").fit(RECORDS)
    assert becomes(step, given_words) == ["<unknown>", "tea", "<unknown>", "tea"]
    assert step.unknown_words({"f": given_words}) == {"f": 2}
    assert step.unknown_words({"f": None, "g": ["gin"]}) == {}
    vectoriser = Vectoriser.fitted(step.transform_batch([*RECORDS, {"f": given_words}]))
    row = vectoriser.transform_one(step.transform_one({"f": given_words}))
    assert dict(zip(vectoriser.name_of(row.indices), row.values, strict=True)) == {("f", "<unknown>"): 2, ("f", "tea"): 2}


def test_a_lookup_that_learned_nothing_says_so() -> None:
    with pytest.raises(DataError, match="call fit first"):
        becomes(VocabularyLookup(NAMES), ["tea"])
    with pytest.raises(DataError, match="call fit first"):
        VocabularyLookup(NAMES).tensors()


def test_a_list_is_cut_or_filled_up_to_its_length() -> None:
    assert becomes(TruncateOrPad(NAMES, 3), ["a", "b", "c", "d"]) == ["a", "b", "c"]
    assert becomes(TruncateOrPad(NAMES, 3, kept="last"), ["a", "b", "c", "d"]) == ["b", "c", "d"]
    assert becomes(TruncateOrPad(NAMES, 3, pad="-"), ["a"]) == ["a", "-", "-"]
    assert becomes(TruncateOrPad(NAMES, 2), []) == ["<pad>", "<pad>"]


@given(st.lists(st.sampled_from(["tea", "milk", "ale"]), max_size=6))
def test_padding_takes_no_part_in_an_average(words: list[str]) -> None:
    vectoriser = Vectoriser.fitted(RECORDS)
    padded = TruncateOrPad(NAMES, 8).transform_one({"f": words})
    assert len(padded["f"]) == 8
    plain, filled = vectoriser.transform_one({"f": words}), vectoriser.transform_one(padded)
    np.testing.assert_array_equal(filled.indices, plain.indices)
    np.testing.assert_array_equal(filled.values, plain.values)
    assert filled.values.sum() == len(words), "an average over the words divides by this"


@given(rows(12, least=1))
def test_standardised_features_have_mean_0_and_deviation_1_over_the_rows_that_have_them(plain: list[dict[int, float]]) -> None:
    step = Standardise().fit(to_batch(plain))
    batch = to_batch(plain)
    after = to_rows(step.transform_batch(SparseBatch(batch.indices, batch.values.astype(np.float64), batch.offsets)))
    for feature in range(13):
        before = [row[feature] for row in plain if feature in row]
        got = [row[feature] for row in after if feature in row]
        if len(set(before)) > 1:
            assert feature in step.ids_
            assert np.mean(got) == pytest.approx(0, abs=1e-6)
            assert np.std(got) == pytest.approx(1, rel=1e-6)
        else:
            assert feature not in step.ids_
            assert got == before


@pytest.mark.parametrize("scale", [1e-300, 1.0, 1e300])
def test_deviations_of_tiny_and_huge_numbers_are_numbers(scale: float) -> None:
    batch = SparseBatch(np.array([4, 4], np.int32), np.array([1.0, 3.0]) * scale, np.array([0, 1, 2]))
    np.testing.assert_allclose(Standardise().fit(batch).transform_batch(batch).values, [-1, 1])


def test_a_feature_that_training_did_not_see_stays_as_it_is() -> None:
    step = Standardise().fit(to_batch([{1: 1.0, 2: 5.0}, {1: 3.0, 2: 5.0}]))
    assert to_rows(step.transform_one(to_batch([{0: 7.0, 1: 4.0, 2: 6.0, 9: 7.0}]))) == [{0: 7.0, 1: 2.0, 2: 6.0, 9: 7.0}]
    assert to_rows(Standardise().fit(to_batch([{}])).transform_one(to_batch([{3: 2.0}]))) == [{3: 2.0}]


def test_steps_over_numbers_change_the_slots_they_are_given() -> None:
    batch = to_batch([{32: -3.0, 33: 9.0}, {}, {33: 0.0, 65: 0.5}])
    assert to_rows(Clip(0, 1, (1,)).transform_batch(batch)) == [{32: -3.0, 33: 1.0}, {}, {33: 0.0, 65: 0.5}]
    assert to_rows(Clip(high=1).transform_batch(batch)) == [{32: -3.0, 33: 1.0}, {}, {33: 0.0, 65: 0.5}]
    assert to_rows(Clip(low=0).transform_batch(batch)) == [{32: 0.0, 33: 9.0}, {}, {33: 0.0, 65: 0.5}]
    assert to_rows(DropZeros().transform_batch(batch)) == [{32: -3.0, 33: 9.0}, {}, {65: 0.5}]
    assert to_rows(Log1p((0,)).transform_batch(batch))[0] == {32: -np.log1p(np.float32(3)), 33: 9.0}
    assert to_rows(Decay(9, (1,)).transform_batch(batch))[0] == {32: -3.0, 33: np.exp(np.float32(-1))}


@pytest.mark.parametrize(
    "make",
    [lambda: Clip(2, 1), lambda: Clip(), lambda: Clip(low=math.nan), lambda: Clip(high=math.inf), lambda: Clip(0, 1, (32,)),
     lambda: Decay(0), lambda: Decay(math.nan), lambda: Log1p((-1,)), lambda: DecayedCounts(NAMES, 0),
     lambda: DecayedCounts(NAMES, math.nan), lambda: DecayedCounts(NAMES, math.inf), lambda: Tokenise(NAMES),
     lambda: Tokenise(NAMES, pattern="["), lambda: Tokenise(NAMES, separator=""), lambda: Tokenise(NAMES, "a", "b"),
     lambda: TruncateOrPad(NAMES, 0), lambda: TruncateOrPad(NAMES, 2.5), lambda: TruncateOrPad(NAMES, True),
     lambda: TruncateOrPad(NAMES, 2, kept="middle"), lambda: TruncateOrPad(NAMES, 2, pad=None), lambda: Normalise("f"),
     lambda: Normalise([1]), lambda: VocabularyLookup(NAMES, min_count=0), lambda: VocabularyLookup(NAMES, max_size=0),
     lambda: VocabularyLookup(NAMES, unknown=3)],
)  # fmt: skip
def test_settings_that_make_no_sense_are_refused(make: Any) -> None:
    with pytest.raises((ValueError, TypeError)):
        make()
