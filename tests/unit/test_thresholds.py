"""Thresholds: the promise holds on another window, ties are picked together, no promise without grounds."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from propensity.models.thresholds import Deviations, fit_thresholds
from propensity.pipeline.top_k import sigmoid

PROMISED = (0.3, 0.5, 0.7)
USUAL = Deviations(0.2, 0.3)


def window(seed: int, customers: int = 2000, categories: int = 40, drift: float = 0.2) -> tuple[np.ndarray, np.ndarray]:
    """Return what happened and calibrated probabilities, categories drifting by themselves from window to window."""
    base = np.linspace(-4, 0, categories)
    draw = np.random.default_rng(seed)
    logits = base + draw.normal(0, 1.5, (customers, categories))
    share = sigmoid((logits + draw.normal(0, drift, categories)).astype(np.float32))
    return (draw.random(share.shape) < share).astype(np.float32), sigmoid(logits.astype(np.float32))


def test_promises_hold_on_the_next_window() -> None:
    found = fit_thresholds(*window(0), PROMISED, 0.95, USUAL)
    acted, said = window(1)
    told, kept = 0, 0
    for promise in PROMISED:
        picked = said >= found.at(promise)
        count, hits = picked.sum(0), (picked * acted).sum(0)
        enough = count >= 20
        told, kept = told + enough.sum(), kept + (hits[enough] >= promise * count[enough]).sum()
    assert told > 60, "there is something to judge by"
    assert kept >= 0.95 * told


def test_a_higher_promise_and_more_confidence_pick_fewer() -> None:
    data = window(2)
    some = fit_thresholds(*data, PROMISED, 0.8, USUAL).values
    sure = fit_thresholds(*data, PROMISED, 0.99, USUAL).values
    assert (np.diff(some, axis=0) >= 0)[np.isfinite(some[:-1])].all()
    assert (sure >= some).all()
    assert (sure > some).any()


def test_nothing_is_promised_where_nobody_acts() -> None:
    said = np.full((500, 2), 0.6, np.float32)
    acted = np.zeros_like(said)
    acted[:, 1] = 1
    found = fit_thresholds(acted, said, PROMISED, 0.95, USUAL).values
    assert np.isinf(found[:, 0]).all()
    assert np.isfinite(found[:2, 1]).all()
    assert np.isinf(found[2, 1]), "calibration expects 0.6: 0.7 would be luck"


def test_no_customers_no_promise() -> None:
    nobody = np.zeros((0, 3), np.float32)
    assert np.isinf(fit_thresholds(nobody, nobody, PROMISED, 0.95, USUAL).values).all()


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.sampled_from([0.1, 0.4, 0.6, 0.8, 0.95]), st.booleans()), min_size=1, max_size=80), st.randoms())
def test_equal_probabilities_are_picked_together_whatever_the_order(rows: list[tuple[float, bool]], shuffler: object) -> None:
    def fitted(some: list[tuple[float, bool]]) -> np.ndarray:
        said, acted = np.float32([[p] for p, _ in some]), np.float32([[a] for _, a in some])
        return fit_thresholds(acted, said, PROMISED, 0.8, USUAL).values

    mixed = list(rows)
    shuffler.shuffle(mixed)  # type: ignore[attr-defined]
    np.testing.assert_array_equal(fitted(rows), fitted(mixed))
    given_values = {np.float32(p) for p, _ in rows}
    assert all(np.isinf(value) or value in given_values for value in fitted(rows).ravel())
