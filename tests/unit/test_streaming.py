"""Rows from storage: every one once, mixed, in bounded portions, whoever reads them; and the model they make."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.trained import REGION, SCORE_DATE, shared

from propensity.errors import ConfigError, DataError
from propensity.features.csr import SparseBatch
from propensity.features.windows import training_cutoffs
from propensity.models import windows
from propensity.models.data import Examples, Rows, TrainingTables, concat_examples
from propensity.models.distributed import Team
from propensity.models.prefetch import ahead
from propensity.models.propensity_training import fit
from propensity.models.recipe import fit_encoder, train
from propensity.models.streaming import Streamed, count_windows, cut, shuffled, together
from propensity.models.supply import InMemory
from propensity.models.windows import read_examples, read_some, read_windows
from propensity.pipeline.bundle import load_bundle


def rows_of(numbers: list[int]) -> Rows:
    """Return customers with these ids, whose features and labels tell the id, too."""
    count = len(numbers)
    ids, offsets = np.array(numbers, np.int32), np.arange(count + 1, dtype=np.int64)
    return Rows(pa.array(numbers, pa.int64()), SparseBatch(ids, ids.astype(np.float32), offsets), ids, offsets)


def ids_of(parts: list[Rows]) -> list[int]:
    for part in parts:
        assert part.users.to_pylist() == part.features.indices.tolist() == part.label_tokens.tolist()
    return [user for part in parts for user in part.users.to_pylist()]


@given(st.lists(st.integers(0, 9), max_size=12), st.integers(2, 30), st.integers(1, 7), st.integers(0, 99))
@settings(max_examples=80, deadline=None)
def test_the_buffer_loses_nobody_and_holds_no_more_than_it_may(sizes: list[int], buffer: int, size: int, seed: int) -> None:
    starts = np.cumsum([0, *sizes]).tolist()
    parts = [rows_of(list(range(a, b))) for a, b in pairwise(starts)]
    mixed = list(shuffled(parts, buffer, np.random.default_rng(seed)))
    assert sorted(ids_of(mixed)) == list(range(starts[-1]))
    assert all(len(part) <= buffer + max(sizes, default=0) for part in mixed)
    batches = list(cut(mixed, size))
    assert ids_of(batches) == ids_of(mixed)
    assert [len(b) for b in batches[:-1]] == [size] * (len(batches) - 1)
    assert all(0 < len(b) <= size for b in batches)


def test_neighbours_are_parted() -> None:
    parts = [rows_of(list(range(at, at + 10))) for at in range(0, 1000, 10)]
    ids = np.array(ids_of(list(shuffled(parts, 200, np.random.default_rng(0)))))
    assert (np.abs(np.diff(ids)) == 1).mean() < 0.05
    assert not np.array_equal(ids, ids_of(list(shuffled(parts, 200, np.random.default_rng(1)))))


def streamed(team: Team | None = None, buffer: int = 50) -> tuple[Streamed, InMemory]:
    """Return the shop's windows from storage, and the same in memory."""
    tables = TrainingTables(shared()[0], REGION)
    cutoffs = training_cutoffs(tables.config, SCORE_DATE)[1:]
    encoder = fit_encoder(tables, cutoffs)
    tally = together(count_windows(tables, cutoffs, encoder))
    every = concat_examples([read_examples(tables, day, encoder) for day in cutoffs])
    return Streamed(tables, cutoffs, encoder, tally, buffer, team or Team()), InMemory(every)


def keys(parts: list[Examples]) -> list[bytes]:
    """Return the customers' inputs and labels, in an order that does not depend on theirs."""
    every = concat_examples(parts)
    sparse, pairs = every.encoded.sparse, every.encoded.pairs
    slices = [
        [(array, offsets[b], offsets[b + 1]) for array, offsets in (
            (sparse.indices, sparse.offsets), (sparse.values, sparse.offsets), (pairs.values, pairs.offsets),
            (every.labels, every.label_offsets),
        )] for b in range(len(every))
    ]  # fmt: skip
    return sorted(b"".join(array[a:b].tobytes() for array, a, b in row) for row in slices)


def test_an_epoch_from_storage_has_the_rows_of_one_in_memory_in_another_order() -> None:
    stream, memory = streamed()
    first, again, second = (list(stream.batches(epoch, 16, 0)) for epoch in (1, 1, 2))
    wanted = keys(list(memory.batches(1, 16, 0)))
    assert keys(first) == keys(second) == wanted
    assert [b.labels.tolist() for b in first] == [b.labels.tolist() for b in again] != [b.labels.tolist() for b in second]
    assert [len(b) for b in first[:-1]] == [16] * (len(first) - 1)


@pytest.mark.parametrize("source", [0, 1])
def test_processes_share_the_rows_without_a_gap(source: int) -> None:
    supply = streamed()[source]
    shares = [list(replace(supply, team=Team(rank, 2)).batches(1, 24, 0)) for rank in range(2)]
    assert keys([part for share in shares for part in share]) == keys(list(supply.batches(1, 24, 0)))
    assert all(len(part) <= 12 for share in shares for part in share)
    assert all(shares)


def test_what_a_network_starts_from_is_what_memory_tells() -> None:
    stream, memory = streamed()
    counted, told = stream.summary(), memory.summary()
    assert counted.rows == told.rows
    np.testing.assert_array_equal(counted.popularity, told.popularity)
    for mine, theirs in ((counted.history, told.history), (counted.activity, told.activity)):
        np.testing.assert_allclose(mine.mean, theirs.mean, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(mine.std, theirs.std, rtol=1e-6, atol=1e-9)


def test_some_of_a_window_are_some_of_it() -> None:
    stream, _ = streamed()
    day = stream.cutoffs[0]
    every = read_examples(stream.tables, day, stream.encoder)
    for most in (1, 17, len(every), 10**6):
        some = read_some(stream.tables, day, stream.encoder, most)
        assert len(some) == min(most, len(every))
        assert set(keys([some])) <= set(keys([every]))


def test_a_model_from_storage_is_as_good(monkeypatch: pytest.MonkeyPatch) -> None:
    lake, made = shared()
    tables = TrainingTables(lake, REGION)
    models = lake.config.models.model_copy(update={"rows_in_memory": 1, "shuffle_rows": 60})
    tables.config = lake.config.model_copy(update={"models": models})
    monkeypatch.setattr(windows, "read_examples", None)  # no window may be read whole
    lines: list[str] = []
    other = train(tables, SCORE_DATE, "cpu", lines.append)
    assert "read from storage in every epoch" in lines[0]
    first, second = (load_bundle(folder).manifest["training"] for folder in (made.folder, other.folder))
    best = [max(epoch["micro_ap"] for epoch in told["choosing"]) for told in (first, second)]
    assert best[1] == pytest.approx(best[0], rel=0.1)
    assert load_bundle(other.folder).manifest["data"] == load_bundle(made.folder).manifest["data"]


def test_windows_of_different_buckets_are_refused() -> None:
    stream, _ = streamed()
    key = stream.cutoffs[1].isoformat()
    for files in (stream.tables._features, stream.tables._labels):
        files[key] = files[key][:-1]
    with pytest.raises(DataError, match="side by side"):
        next(stream.batches(1, 8, 0))


def test_more_processes_than_buckets_are_refused() -> None:
    stream, _ = streamed()
    with pytest.raises(DataError, match="2 buckets for 3 processes"):
        count_windows(stream.tables, stream.cutoffs, stream.encoder, Team(2, 3))


def test_rows_of_the_other_families_stay_in_memory() -> None:
    lake, _ = shared()
    tables = TrainingTables(lake, REGION)
    cutoffs = training_cutoffs(tables.config, SCORE_DATE)[1:]
    encoder = fit_encoder(tables, cutoffs)
    update = {"rows_in_memory": 1, "kind": "xgboost"}
    tables.config = lake.config.model_copy(update={"models": lake.config.models.model_copy(update=update)})
    assert read_windows(tables, cutoffs, encoder, lambda _: None).streams is None
    with pytest.raises(ConfigError, match="xgboost trains in one process"):
        train(tables, SCORE_DATE, "cpu", lambda _: None, Team(0, 2))


def test_row_wise_training_learns_as_well_and_gives_equal_bytes() -> None:
    stream, memory = streamed()
    models = stream.tables.config.models
    judges = read_some(stream.tables, stream.cutoffs[0], stream.encoder, 10**6)
    found = []
    for optimiser, rate in (("adam", 5e-4), ("rowwise_adagrad", 0.02), ("rowwise_adagrad", 0.02)):
        network = models.propensity_network.model_copy(update={"embedding_optimiser": optimiser, "embedding_learning_rate": rate})
        chosen = models.model_copy(update={"propensity_network": network})
        found.append(fit(chosen, stream.encoder, memory, judges, 4, torch.device("cpu"), lambda _: None))
    plain, first, second = found
    assert first.course() == second.course()
    for name, tensor in first.network.state_dict().items():
        assert torch.equal(tensor, second.network.state_dict()[name])
    assert first.epochs[-1].loss == pytest.approx(plain.epochs[-1].loss, rel=0.05)
    assert max(e.validation.micro_ap for e in first.epochs) > 0.9 * max(e.validation.micro_ap for e in plain.epochs)


def test_batches_made_ahead_come_in_order_and_so_do_their_errors() -> None:
    made: list[int] = []

    def items():
        for number in range(5):
            made.append(number)
            yield number
        raise DataError("broken")

    ready = ahead(items(), depth=2)
    assert next(ready) == 0
    assert len(made) <= 4
    assert [next(ready) for _ in range(4)] == [1, 2, 3, 4]
    with pytest.raises(DataError, match="broken"):
        next(ready)
    assert list(ahead(iter([]))) == []
    unfinished = ahead(iter(range(100)))
    next(unfinished)
    unfinished.close()
