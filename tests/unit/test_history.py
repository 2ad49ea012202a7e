"""The history path's input: which pairs there are and what their values say."""

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from tests.support.sparse import rows, to_batch

from propensity.config import MAX_CHANNELS
from propensity.models.history import HistoryEncoder, concat_pairs

CATEGORIES = np.array([2, 3, 7], np.int32)
CHANNELS = ("days_28", "recency", "interval")
SLOTS = (1, 3, 4)
ENCODER = HistoryEncoder(CATEGORIES, CHANNELS, SLOTS, 364)
EVERY_ID = 9 * MAX_CHANNELS


def feature(token: int, slot: int) -> int:
    return token * MAX_CHANNELS + slot


@given(rows(EVERY_ID))
def test_there_is_one_pair_for_each_category_with_a_feature(plain: list[dict[int, float]]) -> None:
    pairs = ENCODER.encode(to_batch(plain))
    wanted = [
        sorted({i // MAX_CHANNELS for i in row if i // MAX_CHANNELS in CATEGORIES and i % MAX_CHANNELS in SLOTS}) for row in plain
    ]
    got = [[int(CATEGORIES[c]) for c in pairs.category[a:b]] for a, b in zip(pairs.offsets, pairs.offsets[1:], strict=False)]
    assert got == wanted
    assert pairs.user.tolist() == [user for user, tokens in enumerate(wanted) for _ in tokens]
    assert pairs.values.shape == (len(pairs.user), ENCODER.width)
    assert np.isfinite(pairs.values).all()


@given(rows(EVERY_ID, least=1), st.randoms())
def test_taking_users_is_encoding_those_users(plain: list[dict[int, float]], random: object) -> None:
    order = np.random.default_rng(len(plain)).permutation(len(plain))
    batch = to_batch(plain)
    taken, again = ENCODER.encode(batch).take(order), ENCODER.encode(batch.take(order))
    for name in ("user", "category", "values", "offsets", "activity"):
        np.testing.assert_array_equal(getattr(taken, name), getattr(again, name))


@given(rows(EVERY_ID), rows(EVERY_ID))
def test_the_union_of_the_parts_is_the_whole(first: list[dict[int, float]], second: list[dict[int, float]]) -> None:
    whole = ENCODER.encode(to_batch(first + second))
    parts = concat_pairs([ENCODER.encode(to_batch(first)), ENCODER.encode(to_batch(second))])
    for name in ("user", "category", "values", "offsets", "activity"):
        np.testing.assert_array_equal(getattr(parts, name), getattr(whole, name))


def test_the_values_of_a_pair_are_what_they_say() -> None:
    gap, interval = 10.0, 20.0
    row = {feature(3, 1): math.log1p(4), feature(3, 3): math.exp(-gap / 28), feature(3, 4): math.log1p(interval)}
    row[feature(7, 1)] = math.log1p(2)
    values = ENCODER.encode(to_batch([row])).values[0]
    wanted = [math.log1p(4), math.exp(-gap / 28), math.log1p(interval), math.exp(-gap / 7), math.exp(-gap / 91), gap / interval]
    np.testing.assert_allclose(values, [*wanted, math.log1p(4 + 2)], rtol=1e-5)


def test_no_interval_counts_as_longer_than_the_history_not_as_none() -> None:
    values = ENCODER.encode(to_batch([{feature(3, 3): math.exp(-91 / 28)}])).values[0]
    assert values[2] == np.log1p(np.float32(364))
    np.testing.assert_allclose(values[5], 91 / 364, rtol=1e-5)


def test_a_gap_of_many_intervals_is_capped() -> None:
    values = ENCODER.encode(to_batch([{feature(3, 3): math.exp(-200 / 28), feature(3, 4): math.log1p(2)}])).values[0]
    assert values[5] == 5.0


def test_without_channels_there_are_no_pairs() -> None:
    bare = HistoryEncoder(CATEGORIES, (), (), 364)
    pairs = bare.encode(to_batch([{feature(3, 1): 1.0}]))
    assert (len(pairs.user), bare.width, pairs.activity.shape) == (0, 0, (1, 0))
