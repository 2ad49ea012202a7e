"""Files that several gates write at once are whole, and one lock lets one through at a time."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from propensity.errors import MachineError
from propensity.quality.files import locked, write_atomically


def test_a_reader_never_sees_half_a_file(tmp_path):
    path = tmp_path / "deep" / "page.json"
    write_atomically(path, json.dumps([0] * 5000))
    done = threading.Event()
    seen = []

    def read():
        while not done.is_set():
            seen.append(len(set(json.loads(path.read_text()))))

    reader = threading.Thread(target=read)
    reader.start()
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda n: write_atomically(path, json.dumps([n] * 5000)), range(200)))
    done.set()
    reader.join()
    assert set(seen) == {1}
    assert [p.name for p in path.parent.iterdir()] == ["page.json"]


def test_a_file_that_cannot_be_written_is_one_line_and_leaves_nothing(tmp_path):
    (tmp_path / "folder").write_text("a file, not a folder")
    with pytest.raises(MachineError, match="could not write"):
        write_atomically(tmp_path / "folder" / "page.html", "text")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["folder"]


def test_one_holder_at_a_time(tmp_path):
    inside = []

    def work(_):
        with locked(tmp_path / "sub" / ".lock"):
            inside.append(1)
            assert len(inside) == 1
            inside.pop()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(200)))
