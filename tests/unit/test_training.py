"""Training on a small shop: deterministic, point in time, honest about devices."""

import datetime as dt
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from tests.support.trained import REGION, SCORE_DATE, shared, train_here

from propensity.config import MAX_CHANNELS
from propensity.contracts import ACTIVITY, FEATURES, LABELS
from propensity.errors import DataError, MachineError
from propensity.evaluation.baselines import decayed_frequency
from propensity.features.windows import training_cutoffs
from propensity.models import training, windows
from propensity.models.data import Examples, TrainingTables, batches
from propensity.models.encoding import Encoder
from propensity.models.metrics import Judgement
from propensity.models.propensity_training import fit
from propensity.models.recipe import fit_encoder, train
from propensity.models.supply import InMemory
from propensity.models.training import Epoch, Fit, products, resolve_device
from propensity.models.windows import read_examples
from propensity.pipeline.bundle import load_bundle
from propensity.storage import Lake

CPU = torch.device("cpu")


def tables_of(lake: Lake) -> TrainingTables:
    return TrainingTables(lake, REGION)


def some_examples() -> Examples:
    tables = tables_of(shared()[0])
    cutoffs = training_cutoffs(tables.config, SCORE_DATE)
    return read_examples(tables, cutoffs[1], fit_encoder(tables, cutoffs[1:]))


def test_equal_inputs_give_equal_bytes() -> None:
    lake, first = shared()
    before = {p.name: p.read_bytes() for p in first.folder.iterdir()}
    torch.manual_seed(12345)  # the state of the world outside does not matter
    again = train_here(lake)
    assert (again.digest, again.version) == (first.digest, first.version)
    for name in ("pipeline.json", "weights.safetensors", "golden.safetensors"):
        assert (again.folder / name).read_bytes() == before[name]


def test_another_seed_gives_another_model() -> None:
    lake, first = shared()
    tables = tables_of(lake)
    tables.config = lake.config.model_copy(update={"models": lake.config.models.model_copy(update={"seed": 1})})
    other = train(tables, SCORE_DATE, "cpu", lambda _: None)
    assert (other.version, other.digest) != (first.version, first.digest)


def test_the_bundle_knows_where_it_comes_from() -> None:
    lake, made = shared()
    manifest = load_bundle(made.folder).manifest
    held_out, *earlier = training_cutoffs(lake.config, SCORE_DATE)
    assert manifest["held_out"] == held_out.isoformat()
    assert manifest["data"]["windows"] == [d.isoformat() for d in earlier]
    assert manifest["training"]["epochs"] == made.epochs <= lake.config.models.propensity_network.max_epochs
    assert manifest["region"] == REGION


def test_cuda_where_there_is_none_is_an_error_and_auto_falls_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(MachineError, match="CUDA"):
        resolve_device("cuda")
    assert resolve_device("auto") == resolve_device("cpu") == CPU


def test_batches_are_a_partition_of_the_rows() -> None:
    examples = some_examples()
    order = np.random.default_rng(1).permutation(len(examples))
    parts = list(batches(examples, 7, order))
    assert [len(p) for p in parts[:-1]] == [7] * (len(parts) - 1)
    np.testing.assert_array_equal(np.concatenate([p.targets() for p in parts]), examples.targets()[order])
    values = np.concatenate([p.encoded.sparse.values for p in parts])
    np.testing.assert_array_equal(values, examples.encoded.sparse.take(order).values)


def test_training_stops_when_validation_no_longer_rises(monkeypatch: pytest.MonkeyPatch) -> None:
    lake, examples = shared()[0], some_examples()
    tables = tables_of(lake)
    encoder = fit_encoder(tables, training_cutoffs(lake.config, SCORE_DATE)[1:])
    course = iter([0.3, 0.5, 0.4, 0.45, 0.9])
    judged = Judgement(0.5, 0.5, 0.0, 0.0, 0.0, 0.0, 0.0, 1, 1, 1)
    monkeypatch.setattr(training, "judge", lambda *_: replace(judged, micro_ap=next(course)))
    lines: list[str] = []
    result = fit(lake.config.models, encoder, InMemory(examples), examples, 9, CPU, lines.append)
    assert [e.number for e in result.epochs] == [1, 2, 3, 4]  # patience is 2
    assert result.best() == 2
    assert all("validation AP" in line and "loss" in line for line in lines)


def test_of_equal_epochs_the_earlier_is_chosen() -> None:
    judged = Judgement(0.5, 0.5, 0.4, 0.0, 0.0, 0.0, 0.0, 1, 1, 1)
    epochs = [Epoch(n, 0.1, replace(judged, micro_ap=ap), 0.0) for n, ap in ((1, 0.2), (2, 0.4), (3, 0.4))]
    assert Fit(None, epochs).best() == 2  # type: ignore[arg-type]


def test_active_customers_are_those_with_a_recent_category_event() -> None:
    lake = shared()[0]
    tables = tables_of(lake)
    cutoff = training_cutoffs(lake.config, SCORE_DATE)[0]
    slot = lake.config.features.channel_names().index("recency")
    every = sum(len(rows) for rows in tables.rows(cutoff))
    last = []
    for rows in tables.rows(cutoff):
        token, kind = np.divmod(rows.features.indices, MAX_CHANNELS)
        own = (kind == slot) & (tables.label_tokens.positions(token) >= 0)
        gaps = -28 * np.log(np.where(own, rows.features.values, 1e-9))
        last += [gaps[a:b].min() for a, b in zip(rows.features.offsets, rows.features.offsets[1:], strict=False)]
    days = int(np.sort(np.round(last))[len(last) // 2])  # the median customer's last event
    features = lake.config.features.model_copy(update={"active_days": days})
    tables.config = lake.config.model_copy(update={"features": features})
    kept = list(tables.rows(cutoff))
    assert sum(map(len, kept)) == int((np.round(last) <= days).sum()) < every
    for rows in kept:
        rows.features.check()
        assert len(rows.users) == len(rows.features) == len(rows.label_offsets) - 1


def test_a_window_without_anybody_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    lake = shared()[0]
    day = training_cutoffs(lake.config, SCORE_DATE)[2]

    def nobody_then(tables: TrainingTables, cutoff: dt.date, encoder: Encoder) -> Examples:
        found = read_examples(tables, cutoff, encoder)
        return found.take(np.zeros(0, np.int64)) if cutoff == day else found

    monkeypatch.setattr(windows, "read_examples", nobody_then)
    with pytest.raises(DataError, match=f"without an active customer.*{day}"):
        train_here(lake)


def test_a_missing_partition_is_named() -> None:
    with pytest.raises(DataError, match="0 feature files but 0 label files at 1999-01-01"):
        list(tables_of(shared()[0]).rows(dt.date(1999, 1, 1)))


def test_features_and_labels_of_different_customers_are_refused(tmp_path: Path) -> None:
    lake = shared()[0]
    tables = tables_of(lake)
    cutoff = training_cutoffs(lake.config, SCORE_DATE)[0].isoformat()
    labels = tables._labels[cutoff][0]
    rows = lake.read(LABELS.name, labels)
    other = rows.set_column(0, rows.schema.field(0), pa.array(reversed(rows["user_id"].to_pylist()), rows.schema.field(0).type))
    elsewhere = Lake(lake.config.model_copy(update={"home": tmp_path}))
    partition = {"region": REGION, "score_date": cutoff}
    moved = elsewhere.write(LABELS, partition, "x", other.replace_schema_metadata(None), {})
    features = tables._features[cutoff][0]
    kept = elsewhere.write(FEATURES, partition, "x", lake.read(FEATURES.name, features).replace_schema_metadata(None), {})
    elsewhere.commit(LABELS, [moved], {"region": REGION}, {})
    elsewhere.commit(FEATURES, [kept], {"region": REGION}, {})
    tables.lake, tables._features, tables._labels = elsewhere, {cutoff: [kept]}, {cutoff: [moved]}
    with pytest.raises(DataError, match="different customers"):
        list(tables.rows(dt.date.fromisoformat(cutoff)))


def test_decayed_frequency_counts_fortnights_before_the_cutoff_only() -> None:
    lake = shared()[0]
    tables = tables_of(lake)
    cutoff = training_cutoffs(lake.config, SCORE_DATE)[0]
    users = pa.chunked_array([rows.users for rows in tables.rows(cutoff)]).combine_chunks()
    share = np.full(len(tables.label_tokens), 0.25, np.float32)
    got = decayed_frequency(lake, REGION, cutoff, users, tables.label_tokens, share)
    wanted = np.full(got.shape, 0.25)
    seen = set()
    for file in lake.files(ACTIVITY, region=REGION):
        for row in lake.read(ACTIVITY.name, file).to_pylist():
            age = (cutoff - row["event_date"]).days - 1
            column = int(tables.label_tokens.positions(np.array([row["token"]], np.int32))[0])
            if column >= 0 and 0 <= age < lake.config.features.history_days and row["user_id"] in users.to_pylist():
                seen.add((users.index(row["user_id"]).as_py(), column, age // 14))
    for user, column, fortnight in seen:
        wanted[user, column] += np.exp(-fortnight / 8)
    np.testing.assert_allclose(got, wanted, rtol=1e-5)


def test_products_are_rounded_where_that_is_wanted_and_nowhere_else() -> None:
    mkldnn = torch.backends.mkldnn
    before = mkldnn.matmul.fp32_precision
    for precision, inside in (("bfloat16", "bf16"), ("float32", before)):
        with products(precision):
            assert mkldnn.matmul.fp32_precision == inside
        assert mkldnn.matmul.fp32_precision == before


@pytest.mark.parametrize("changes", [{"precision": "bfloat16"}, {"averaging": 0.0}])
def test_settings_of_the_loop_leave_it_learning(changes: dict[str, object]) -> None:
    lake, examples = shared()[0], some_examples()
    encoder = fit_encoder(tables_of(lake), training_cutoffs(lake.config, SCORE_DATE)[1:])
    models = lake.config.models
    update = {"embedding_optimiser": "rowwise_adagrad", "embedding_learning_rate": 0.02, "dropout": 0.0}
    found = []
    for more in ({}, changes):
        network = models.propensity_network.model_copy(update=update | more)
        chosen = models.model_copy(update={"propensity_network": network})
        found.append(fit(chosen, encoder, InMemory(examples), examples, 3, CPU, lambda _: None).epochs)
    plain, changed = found
    assert changed[-1].loss < changed[0].loss
    assert changed[-1].loss == pytest.approx(plain[-1].loss, rel=0.01)
    assert changed[-1].validation.micro_ap == pytest.approx(plain[-1].validation.micro_ap, rel=0.1)
