"""How much the online service adds to a score over HTTP, beside a bare FastAPI endpoint that takes the same JSON.

Both run as processes on the loopback address and are driven in turns by the same small client, at 1, 8 and 32 connections.  The
service scores a customer of 100 features with a network of the reference shape and returns 50 categories; the bare endpoint
validates the same body and returns a small answer.  Client and server share the machine.
"""

import argparse
import contextlib
import http.client
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from ops.process import free_port

from benchmarks.http_client import Timed, drive, request
from benchmarks.online_home import ROOT, write_home

SHAPE = (200_000, 256, 2_000)
"""Features, hidden units, categories."""
CONNECTIONS = (1, 8, 32)
WARM = 500
PATIENCE = 120.0


def bare() -> object:
    """Return the bare endpoint: FastAPI as its tutorial shows it."""
    from fastapi import FastAPI
    from pydantic import BaseModel

    class Asked(BaseModel):
        features: dict[str, dict[str, float]]
        top_k: int

    app = FastAPI()

    @app.post("/bare")
    async def answer(asked: Asked) -> dict[str, int]:
        return {"features": len(asked.features), "top_k": asked.top_k}

    return app


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--requests", type=int, default=5000, help="requests a run")
    parser.add_argument("--rounds", type=int, default=5, help="runs of each server at each number of connections, in turns")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, servers(Path(folder)) as (ports, bodies):
        paths = {"service": "/v1/reference/score", "bare FastAPI": "/bare"}
        requests = {name: [request(path, body) for body in bodies] for name, path in paths.items()}
        for name, port in ports.items():
            _warm(port, requests[name])
        print(f"{len(bodies[0]):,} bytes a request, {arguments.requests:,} requests a run, {arguments.rounds} rounds in turns")
        print(f"load average before: {os.getloadavg()[0]:.2f}")
        for connections in CONNECTIONS:
            _compare(ports, requests, connections, arguments.requests, arguments.rounds)
        print(f"load average after: {os.getloadavg()[0]:.2f}")
    return 0


def _warm(port: int, requests: Sequence[bytes]) -> None:
    timed = drive(port, requests, 1, WARM)
    if timed.errors:
        raise SystemExit(f"{timed.errors} of {WARM} requests were refused")


def _compare(ports: dict[str, int], requests: dict[str, list[bytes]], connections: int, count: int, rounds: int) -> None:
    runs: dict[str, list[Timed]] = {name: [] for name in ports}
    for _ in range(rounds):
        for name, port in ports.items():
            runs[name].append(drive(port, requests[name], connections, count))
    print(f"\n{connections} connections (medians of {rounds} runs)")
    rates = {}
    for name, timed in runs.items():
        rates[name] = statistics.median(run.rate for run in timed)
        p50, p99 = (statistics.median(run.percentile(q) for run in timed) for q in (50, 99))
        errors = sum(run.errors for run in timed)
        print(f"  {name:14} {rates[name]:8,.0f} requests/s   p50 {p50:8,.0f} us   p99 {p99:8,.0f} us   {errors} errors")
    each = [a.rate / b.rate for a, b in zip(runs["service"], runs["bare FastAPI"], strict=True)]
    told = f"{min(each):.2f} to {max(each):.2f} in the rounds"
    print(f"  service / bare: {rates['service'] / rates['bare FastAPI']:.2f} of its requests/s ({told})")


@contextlib.contextmanager
def servers(folder: Path) -> Iterator[tuple[dict[str, int], list[bytes]]]:
    """Start both servers; yield their ports and the bodies to send."""
    ports = {"service": free_port(), "bare FastAPI": free_port()}
    _, bodies = write_home(folder, ports["service"], *SHAPE)
    environment = {**os.environ, "PROPENSITY_CONF": str(folder / "conf"), "PROPENSITY_HOME": str(folder / "home")}
    quiet = ["--log-level", "warning", "--no-access-log", "--port", str(ports["bare FastAPI"])]
    commands = [["ops", "serve"], ["uvicorn", "--factory", "benchmarks.http_load:bare", *quiet]]
    with contextlib.ExitStack() as stack, (folder / "log").open("wb") as log:
        for command in commands:
            process = subprocess.Popen([sys.executable, "-m", *command], cwd=ROOT, env=environment, stdout=log, stderr=log)
            stack.callback(process.wait)
            stack.callback(process.terminate)
        _wait(ports["service"], "/ready")
        _wait(ports["bare FastAPI"], "/openapi.json")
        yield ports, bodies


def _wait(port: int, path: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        with contextlib.suppress(OSError), contextlib.closing(connection):
            connection.request("GET", path)
            if connection.getresponse().status == http.client.OK:
                return
        time.sleep(0.1)
    raise SystemExit(f"the server on port {port} did not start")


if __name__ == "__main__":
    sys.exit(main())
