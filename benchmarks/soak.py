"""A million scoring requests and 200 model swaps in one process, watching its memory.

Requests go through the whole ASGI application of the online service (routing, decoding, scoring, encoding, counting), in process:
over sockets the same number would take several times as long and measure the client's memory too.  Champions change in turns
between two bundles and are loaded by the refreshing thread's own function, in a thread, while requests go on.
"""

import argparse
import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from fastapi import FastAPI
from starlette.types import Message

from benchmarks.online_home import REGION, VERSIONS, crown, write_home
from propensity.models.versions import bundle_folder
from propensity.pipeline.bundle import bundle_digest
from propensity.serving.app import create_app
from propensity.serving.regions import Regions
from propensity.storage import Lake

SHAPE = (20_000, 64, 500)
"""Features, hidden units, categories: a tenth of the reference's features, because swaps are about objects coming and going."""
SCOPE = {
    "type": "http",
    "asgi": {"version": "3.0"},
    "http_version": "1.1",
    "method": "POST",
    "scheme": "http",
    "path": f"/v1/{REGION}/score",
    "raw_path": b"",
    "query_string": b"",
    "server": ("here", 80),
    "client": ("here", 1),
}
POINTS = 24
GROWTH_MIB = 24.0
"""How much more memory the second half may hold at its end than at its beginning."""


def resident() -> float:
    """Return the resident memory of this process in MiB."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


class Asker:
    """Sends requests to the application and counts what comes back."""

    def __init__(self, app: FastAPI, bodies: Sequence[bytes]) -> None:
        self.app, self.bodies = app, bodies
        self.statuses: dict[int, int] = {}

    async def ask(self, first: int, count: int) -> None:
        """Send `count` requests, one after the other, with a turn for others after each."""
        for at in range(first, first + count):
            await self._one(self.bodies[at % len(self.bodies)])
            await asyncio.sleep(0)

    async def _one(self, body: bytes) -> None:
        async def receive() -> Message:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Message) -> None:
            if message["type"] == "http.response.start":
                status = int(message["status"])
                self.statuses[status] = self.statuses.get(status, 0) + 1

        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        await self.app({**SCOPE, "headers": headers}, receive, send)


async def soak(regions: Regions, digests: dict[str, str], asker: Asker, requests: int, swaps: int) -> list[float]:
    """Ask and swap; return the resident memory at POINTS points in time, printed as it goes."""
    versions = list(digests)
    sizes: list[float] = []
    started = time.perf_counter()

    async def swapping() -> None:
        for at in range(swaps):
            while sum(asker.statuses.values()) < requests * at // swaps:
                await asyncio.sleep(0.002)
            version = versions[(at + 1) % len(versions)]
            await asyncio.to_thread(crown, regions.lake, version, digests[version])
            await asyncio.to_thread(regions.refresh)
            if regions.model(REGION)[0].version != version:
                raise SystemExit(f"swap {at + 1} did not take place: {regions.served(REGION).reason}")

    swapper = asyncio.create_task(swapping())
    for point in range(POINTS):
        first, last = (requests * n // POINTS for n in (point, point + 1))
        await asker.ask(first, last - first)
        sizes.append(resident())
        done = int(regions.metrics.swaps.labels(REGION)._value.get()) - 1
        print(f"{time.perf_counter() - started:7.1f} s  {last:10,} requests  {done:4} swaps  {sizes[-1]:8.1f} MiB", flush=True)
    await swapper
    print(f"{swaps} swaps done at the end: {resident():.1f} MiB")
    return sizes


def main() -> int:
    """Run; status 1 when memory grew or a request failed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--requests", type=int, default=1_000_000)
    parser.add_argument("--swaps", type=int, default=200)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        config, bodies = write_home(Path(folder), 8090, *SHAPE)
        regions = Regions(Lake(config))
        regions.refresh()
        digests = {version: bundle_digest(bundle_folder(config, REGION, version)) or "" for version in VERSIONS}
        asker = Asker(create_app(regions), bodies)
        print(f"load average before: {os.getloadavg()[0]:.2f}")
        sizes = asyncio.run(soak(regions, digests, asker, arguments.requests, arguments.swaps))
    return judge(sizes, asker.statuses, arguments.requests)


def judge(sizes: Sequence[float], statuses: dict[int, int], requests: int) -> int:
    """Print the outcome; return the exit status."""
    second = sizes[len(sizes) // 2 :]
    growth = second[-1] - second[0]
    refused = {status: count for status, count in statuses.items() if status != 200}
    print(f"second half: {second[0]:.1f} to {second[-1]:.1f} MiB, {growth:+.1f} MiB (allowed: {GROWTH_MIB:+.1f})")
    print(f"answers: {statuses}; load average after: {os.getloadavg()[0]:.2f}")
    return int(growth > GROWTH_MIB or bool(refused) or statuses.get(200) != requests)


if __name__ == "__main__":
    sys.exit(main())
