"""`make serve` as a process of its own, asked over real sockets while champions come and go."""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
import yaml
from ops.process import free_port
from tests.support.online import ROUTE, add_version, copied_lake, crown, online, pipeline_of, record_of
from tests.support.trained import shared

from propensity.config import load_config
from propensity.storage import Lake

ROOT = Path(__file__).parents[2]
SWAPS, CLIENTS = 50, 4
PATIENCE = 120.0


class Served:
    """A running `python -m ops serve`."""

    def __init__(self, lake: Lake, log: Path) -> None:
        self.lake, self.log = lake, log
        self.port = lake.config.runtime.serving.port
        self.address = f"http://127.0.0.1:{self.port}"
        environment = {**os.environ, "PROPENSITY_CONF": str(lake.config.folder), "PROPENSITY_HOME": str(lake.config.home.parent)}
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "ops", "serve"], cwd=ROOT, env=environment, stdout=output, stderr=output
            )

    def wait(self, path: str, wanted) -> None:
        """Ask until the answer is as wanted."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline and self.process.poll() is None:
            with contextlib.suppress(httpx.TransportError):
                if wanted(httpx.get(self.address + path)):
                    return
            time.sleep(0.01)
        raise AssertionError(f"{path} was never as wanted: {self.log.read_text()}")

    def ended(self, number: int = signal.SIGTERM) -> int:
        """Tell it to end; return its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(PATIENCE)


def lake_with_port(folder: Path, **serving) -> Lake:
    """Return a copy of the small lake whose configuration names a free port."""
    lake = copied_lake(folder)
    conf = Path(shutil.copytree(lake.config.folder, folder / "conf"))
    runtime = yaml.safe_load((conf / "runtime.yaml").read_text())
    runtime["serving"] = {"port": free_port(), "refresh_seconds": 0.05, **serving}
    (conf / "runtime.yaml").write_text(yaml.safe_dump(runtime))
    return Lake(load_config(conf, lake.config.home.parent))


@pytest.fixture
def served(tmp_path):
    lake = lake_with_port(tmp_path)
    crown(lake, shared()[1].version, shared()[1].digest)
    service = Served(lake, tmp_path / "log")
    service.wait("/ready", lambda response: response.status_code == 200)
    yield service
    service.ended()


def test_fifty_swaps_under_load_lose_no_request_and_mix_no_versions(served):
    lake = served.lake
    versions = {shared()[1].version: shared()[1].digest, "second": add_version(lake, "second", shift=0.5)}
    record = record_of(pipeline_of(lake, "second"))
    body = json.dumps({"features": record, "top_k": 5}).encode()
    expected = {version: pipeline_of(lake, version).top_k([record], 5)[1][0].tolist() for version in versions}
    ended, counts = threading.Event(), []

    def client(_):
        seen = []
        with httpx.Client(base_url=served.address, timeout=PATIENCE) as http:
            while not ended.is_set():
                response = http.post(f"{ROUTE}/score", content=body)
                told = response.json()
                seen.append((response.status_code, told.get("version"), [c["probability"] for c in told.get("categories", [])]))
        return seen

    with ThreadPoolExecutor(CLIENTS) as pool:
        clients = [pool.submit(client, at) for at in range(CLIENTS)]
        try:
            for at in range(SWAPS):
                version = list(versions)[(at + 1) % 2]
                crown(lake, version, versions[version])
                served.wait("/v1/regions", lambda r, v=version: any(told["version"] == v for told in r.json()))
        finally:
            ended.set()
        seen = [answer for done in clients for answer in done.result()]
    assert [answer for answer in seen if answer[0] != 200] == []
    assert {version for _, version, _ in seen} == set(versions)
    assert all(probabilities == expected[version] for _, version, probabilities in seen)
    counts = httpx.get(f"{served.address}/metrics").text
    assert f'propensity_model_swaps_total{{region="coast"}} {SWAPS + 1}.0' in counts


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_open_request_is_finished_before_the_service_ends(served, number):
    body = b'{"features": {}}'
    head = f"POST {ROUTE}/score HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n".encode()
    with socket.create_connection(("127.0.0.1", served.port), PATIENCE) as connection:
        connection.sendall(head + body[:5])
        served.wait("/health", lambda response: response.status_code == 200)  # the first part has been read by now
        served.process.send_signal(number)
        time.sleep(0.3)
        connection.sendall(body[5:])
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    assert answer.startswith(b"HTTP/1.1 200"), answer[:200]
    assert served.ended() == 0, served.log.read_text()
    assert "The service has stopped." in served.log.read_text()


def test_it_says_what_it_serves_and_that_a_second_one_has_no_port(served, tmp_path):
    assert f"http://127.0.0.1:{served.port}" in served.log.read_text()
    assert f"version {shared()[1].version}" in served.log.read_text()
    second = Served(served.lake, tmp_path / "second")
    assert second.process.wait(PATIENCE) == 2
    (line,) = second.log.read_text().splitlines()
    assert f"port {served.port} is in use" in line


def test_without_a_champion_it_starts_and_says_what_to_do(tmp_path):
    service = Served(lake_with_port(tmp_path), tmp_path / "log")
    try:
        service.wait("/health", lambda response: response.status_code == 200)
        assert httpx.get(f"{service.address}/ready").status_code == 503
        assert "run make demo first" in service.log.read_text()
        crown(service.lake, shared()[1].version, shared()[1].digest)
        service.wait("/ready", lambda response: response.status_code == 200)
    finally:
        assert service.ended() == 0


def test_a_body_without_an_end_is_refused_on_the_way(served):
    def endless():
        while True:
            yield b" " * 65536

    with httpx.Client(base_url=served.address, timeout=PATIENCE) as http:
        sent = 0

        def counted():
            nonlocal sent
            for part in endless():
                sent += len(part)
                if sent > 64 * 2**20:
                    return
                yield part

        assert http.post(f"{ROUTE}/score", content=counted()).status_code == 413


def test_several_workers_answer_alike(tmp_path):
    lake = lake_with_port(tmp_path, workers=2)
    crown(lake, shared()[1].version, shared()[1].digest)
    service = Served(lake, tmp_path / "log")
    try:
        service.wait("/ready", lambda response: response.status_code == 200)
        record = record_of(pipeline_of(lake, shared()[1].version))
        expected = online(lake).post("score", {"features": record}).json()
        for _ in range(20):
            response = httpx.post(f"{service.address}{ROUTE}/score", json={"features": record})
            if response.status_code == 200:  # the other worker may still be loading
                assert response.json() == expected
        service.wait("/ready", lambda response: response.status_code == 200)
    finally:
        assert service.ended() == 0
