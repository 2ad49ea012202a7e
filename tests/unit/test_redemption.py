"""How the redemption benchmark judges: its resamples, its areas, its thresholds."""

from pathlib import Path

import numpy as np
from benchmarks import redemption
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from propensity.config import load_config


def some(seed: int) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(seed)
    targets = (draw.random(80) < 0.3).astype(np.float32)
    targets[:2] = 0, 1
    return targets, np.round(draw.normal(size=80) + targets, 1)  # rounded: there are ties


@given(st.integers(0, 30))
def test_a_weighted_area_is_that_of_the_repeated_households(seed: int) -> None:
    targets, scores = some(seed)
    weights = np.random.default_rng(seed).integers(1, 4, (3, 80))
    wanted = [roc_auc_score(np.repeat(targets, row), np.repeat(scores, row)) for row in weights]
    np.testing.assert_allclose(redemption.weighted_auc(targets, scores, weights.astype(float)), wanted)


def test_thresholds_come_from_the_validation_window_alone() -> None:
    before, after = some(1), some(2)
    once = np.ones((1, 80))
    judged = redemption.judge_one((before[0], after[0]), (before[1], after[1]), once)
    turned = redemption.judge_one((before[0], 1 - after[0]), (before[1], after[1]), once)
    assert {level: a.picked for level, a in judged.at.items()} == {level: a.picked for level, a in turned.at.items()}
    for at in judged.at.values():
        assert at.recall == at.recalls[0]
        assert 0 < at.precision < 1


def test_resamples_draw_as_many_households_as_there_are() -> None:
    weights = redemption.resamples(50)
    assert (weights.sum(1) == 50).all()
    assert weights.std() > 0.5
    np.testing.assert_array_equal(weights, redemption.resamples(50))


def test_the_peers_configuration_differs_in_the_kind_alone(tmp_path: Path) -> None:
    assert redemption.configuration("field_embedding", tmp_path) == redemption.CONF
    ours = load_config(redemption.CONF, tmp_path)
    peer = load_config(redemption.configuration("xgboost", tmp_path / "conf"), tmp_path)
    assert (ours.models.kind, peer.models.kind) == ("field_embedding", "xgboost")
    assert peer.models.model_copy(update={"kind": ours.models.kind}) == ours.models
    for section in ("tables", "features", "regions", "quality", "runtime"):
        assert getattr(peer, section) == getattr(ours, section)
    assert ours.home == peer.home
