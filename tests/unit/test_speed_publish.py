"""The publishing and encodings benchmarks: what is sent is the rows, parts add up, what is read back is within its bits."""

import numpy as np
import pyarrow as pa
import pytest
from benchmarks.speed import encodings, encodings_readers, publish, publish_profile
from benchmarks.speed.encodings_kinds import ENCODINGS
from benchmarks.speed.publish_peers import rows_only, write_bytes
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from propensity.contracts import SCORES
from propensity.delivery.binary import HEADER, TRAILER, encode

PROBABILITIES = hnp.arrays(np.float32, st.tuples(st.integers(1, 5), st.integers(1, 7)), elements=st.floats(0, 1, width=32))


def scores(first: int, count: int) -> pa.Table:
    """Return score rows of some customers, two pairs each."""
    pairs = [[[1, 2]] * count, [[0.5, 0.25]] * count]
    columns = [list(range(first, first + count)), *pairs, *([text] * count for text in ("model", "v1", "run"))]
    schema = SCORES.file_schema("int64")
    return pa.table([pa.array(c, f.type) for c, f in zip(columns, schema, strict=True)], schema=schema)


def test_files_together_are_one_copy(tmp_path):
    tables = [scores(0, 3), scores(3, 4)]
    size = write_bytes(tables, tmp_path / "rows.bin")
    written = (tmp_path / "rows.bin").read_bytes()
    assert written == b"".join(encode(pa.concat_tables(tables)))
    assert size == len(written)


@given(st.integers(0, 5))
def test_header_and_trailer_are_left_out(count: int) -> None:
    chunks = [memoryview(bytes([number])) for number in range(count)]
    assert list(rows_only(iter([memoryview(HEADER), *chunks, memoryview(TRAILER)]))) == chunks


def test_the_parts_of_publishing_add_up():
    seconds = {name: float(number) for number, name in enumerate((publish_profile.READ, publish_profile.KEY), 1)}
    seconds |= {publish_profile.COPY: 9.0, publish_profile.SWAP: 4.0}
    found = publish_profile.parts(seconds, whole=20.0)
    assert sum(found.values()) == pytest.approx(20.0)
    assert found[publish_profile.COPY] == 8.0
    assert found[publish_profile.SWAP] == 2.0
    assert found[publish_profile.REST] == 20.0 - 13.0


def test_the_table_says_how_many_times_bare_copy():
    names = publish.PROCESSES, publish.BARE, publish.FILES
    found = {name: publish._figures([speed], 100, 900.0) for name, speed in zip(names, (2.0, 1.0, 1.6), strict=True)}
    result = {"contenders": found, "parts": {"encode": 1.0}, "users": 100, "bytes": 90_000, "rounds": 1, "load": [0.0, 0.0]}
    lines = publish.table(result)
    assert lines[2].endswith("| 2.00 | 50 | 0 | 0.50 |")
    assert lines[4].endswith("| 0.62 |")


@pytest.mark.parametrize("name", ENCODINGS)
@given(PROBABILITIES)
def test_what_is_stored_is_read_back_within_its_bits(name: str, wanted: np.ndarray) -> None:
    encoding = ENCODINGS[name]
    column = encoding.pack(wanted)
    column.validate(full=True)
    bound = 0.0 if "float32" in name else 2.0**-11 if "float16" in name else 0.51 / 65535
    for part, rows in ((column, wanted), (column[1:], wanted[1:])):
        got = encoding.unpack(part, wanted.shape[1])
        assert got.shape == rows.shape
        assert np.abs(got.astype(np.float64) - rows).max(initial=0) <= bound


def test_every_compression_writes_what_it_reads(tmp_path):
    some = np.random.default_rng(0).random((8, 20), dtype=np.float32)
    found = encodings.contest(tmp_path, some, 1)
    assert set(found) == {f"{name} | {how}" for name in ENCODINGS for how in encodings.COMPRESSIONS}
    assert all(f["write_us"] > 0 and f["read_us"] > 0 and f["bytes"] > 0 for f in found.values())
    result = {"encodings": found, "readers": encodings_readers.read_by(tmp_path / "readers", some, spark=False), "users": 8,
              "categories": 20, "least": 0.01, "rounds": 1, "load": [0.0, 0.0]}  # fmt: skip
    assert any("binary, float32 | none" in line and "| 0.0e+00 |" in line for line in encodings.table(result))
    assert result["readers"]["binary, float32"] == {"delta-rs": "binary", "Polars": "Binary", "DuckDB": "BLOB"}


def test_a_reader_that_shows_another_value_is_told(tmp_path):
    some = np.random.default_rng(0).random((4, 3), dtype=np.float32)
    encoding = ENCODINGS["binary, float32"]
    assert encodings_readers._tried(tmp_path, some, encoding, lambda _: ("binary", b"other")).startswith("no: another value")

    def refuse(_):
        raise ValueError("never seen")

    assert encodings_readers._tried(tmp_path, some, encoding, refuse) == "no: ValueError never seen"
