"""Bringing things up: what is missing is one line that says what to do, and nothing is left running."""

import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ops import browser, java, stack
from ops.postgres import Postgres, postgres
from ops.process import check_port, free_port, start, stop
from ops.progress import error_line, short, stages
from ops.settings import Stack, environment, secret

from propensity.config import load_config
from propensity.errors import ConfigError, MachineError

ROOT = Path(__file__).parents[2]


@pytest.fixture
def empty_path(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    return tmp_path


def fake_java(folder, text):
    program = folder / "bin" / "java"
    program.parent.mkdir(parents=True)
    program.write_text(f"#!/bin/sh\necho '{text}' >&2\n")
    program.chmod(0o755)
    return program


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ('openjdk version "17.0.15" 2025', 17),
        ('java version "1.8.0_441"', 8),
        ('openjdk version "21" x', 21),
        ("no java at all", None),
    ],
)
def test_the_version_of_a_java(tmp_path, text, version):
    assert java.version(fake_java(tmp_path, text)) == version


def test_java_home_wins_and_an_old_one_is_passed_over(tmp_path, monkeypatch):
    new = fake_java(tmp_path / "new", 'openjdk version "21.0.1"')
    old = fake_java(tmp_path / "old", 'java version "1.8.0_441"')
    monkeypatch.setenv("JAVA_HOME", str(old.parents[1]))
    monkeypatch.setenv("PATH", f"{new.parent}:{os.environ['PATH']}")
    assert java.find() == str(new.parents[1])
    monkeypatch.setenv("JAVA_HOME", str(new.parents[1]))
    assert java.find() == str(new.parents[1])


def test_no_java_is_one_line(monkeypatch, empty_path):
    monkeypatch.setattr(java, "find", lambda: None)
    with pytest.raises(MachineError, match=r"no Java of version 17 or newer here\. To do: apt-get install openjdk-17"):
        java.java_home()


def test_no_browser_is_one_line_and_never_a_silent_skip(monkeypatch, empty_path):
    monkeypatch.delenv("PROPENSITY_NO_BROWSER", raising=False)
    with pytest.raises(MachineError, match=r"no Chromium here.*PROPENSITY_NO_BROWSER=1"):
        browser.chromium()
    monkeypatch.setenv("PROPENSITY_NO_BROWSER", "1")
    assert browser.chromium() is None


def test_a_port_in_use_is_one_line():
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        held.listen()
        with pytest.raises(MachineError, match=r"Airflow: port \d+ is in use by another program\. To do: stop it"):
            check_port(held.getsockname()[1], "Airflow", "stop it")
    check_port(free_port(), "Airflow", "stop it")


@given(st.text(max_size=6) | st.integers(0, 70_000).map(str))
def test_a_port_is_a_number_or_a_clear_line(text):
    os.environ["TEST_PORT"] = clean = text.replace("\0", "").encode(errors="ignore").decode()
    number = int(clean) if clean.isascii() and clean.isdecimal() else -1
    if not clean or number == 0 or 1024 <= number <= 65535:
        assert 1024 <= stack.chosen_port("TEST_PORT", 8080) <= 65535
    else:
        with pytest.raises(ConfigError, match=r"TEST_PORT: (.|\n)* is not a port"):
            stack.chosen_port("TEST_PORT", 8080)


def test_a_full_disk_is_one_line(monkeypatch, tmp_path):
    config = load_config("conf", tmp_path)
    monkeypatch.setattr(stack.shutil, "disk_usage", lambda _: SimpleNamespace(free=5_000_000))
    with pytest.raises(MachineError, match=r"5 MB are free, 1,074 MB are needed\. To do: free disk space"):
        stack.check_disk(config)


def test_a_home_that_cannot_be_made_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(MachineError, match="could not make the project's home"):
        stack.check_disk(load_config("conf", tmp_path / "file"))


def test_a_secret_is_made_once_and_only_its_owner_reads_it(tmp_path):
    path = tmp_path / "keys" / "session"
    first = secret(path)
    assert len(first) >= 43
    assert secret(path) == first
    assert path.stat().st_mode & 0o777 == 0o600
    assert secret(tmp_path / "other") != first


def test_services_see_one_set_of_settings_whatever_the_caller_had(monkeypatch, tmp_path):
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", "SomethingElse")
    told = environment(Stack(load_config("conf", tmp_path), 1234), "/java")
    assert "AIRFLOW__CORE__EXECUTOR" not in told
    assert told["AIRFLOW__CORE__EXECUTION_API_SERVER_URL"] == "http://127.0.0.1:1234/execution/"
    assert told["AIRFLOW__API__HOST"] == "127.0.0.1"
    assert told["JAVA_HOME"] == "/java"


def test_children_are_ended_with_all_that_they_started(tmp_path):
    code = "import subprocess, sys, time; print(subprocess.Popen(['sleep', '60']).pid, flush=True); time.sleep(60)"
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "plugins")}
    child = start("sleeper", ["-c", code], environment, tmp_path / "log", ROOT)
    deadline = time.monotonic() + 20
    while not child.last_words():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    stop([child])
    assert not child.running()
    time.sleep(0.1)
    assert not Path(f"/proc/{child.last_words()}/exe").exists()


def test_postgres_starts_is_found_running_and_stops(tmp_path):
    tmp_path.chmod(0o755)
    with postgres(tmp_path, free_port()) as server:
        address = (server.folder / "address").read_text().strip()
        assert address == server.address
        assert (server.folder / "address").stat().st_mode & 0o777 == 0o600
        again = Postgres(tmp_path, 1)
        assert not again.start()
        assert again.port == server.port
        wrong = address.replace(":", ":x", 2).replace("postgresql:x", "postgresql:")
        done = subprocess.run(
            [server.programs / "psql", wrong, "-c", "select 1"],
            capture_output=True,
            text=True,
            check=False,
            env={"PATH": os.defpath},
        )
        assert "password authentication failed" in done.stderr
    assert server.running_port() is None
    if server.base != server.folder:  # root's nobody cannot enter pytest's folder
        shutil.rmtree(server.base)


def test_a_wrong_command_is_one_line_and_a_status():
    def run(*arguments, **more):
        env = {**os.environ, **more}
        return subprocess.run(
            [sys.executable, "-m", "ops", *arguments], cwd=ROOT, capture_output=True, text=True, check=False, env=env
        )

    done = run("demo", "--score-date", "2018-02-30", PROPENSITY_HOME="/nonexistent/here")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert done.stderr.startswith("error: '2018-02-30' is not a date. To do: ")
    done = run("up", PROPENSITY_CONF="nowhere")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "no such configuration folder" in done.stderr


def test_what_the_progress_shows():
    tasks = [
        {"task_id": t} for t in ("announce", "each_region.train", "each_region.features", "land", "plan", "each_region.new_stage")
    ]
    assert stages(tasks) == ["plan", "land", "features", "train", "new_stage"]
    assert short("each_region.train") == "train"
    assert error_line(["x", "error: no such day. To do: land it", "::endgroup::"]) == "no such day. To do: land it"
    assert error_line([]) == "no log"
