"""A small keep-alive HTTP client that drives a server with a fixed number of requests and times each of them."""

import asyncio
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import uvloop

_LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)
_END = b"\r\n\r\n"


@dataclass(frozen=True)
class Timed:
    """What a run took."""

    seconds: float
    latencies: "np.typing.NDArray[np.float64]"
    """Of each request, in seconds."""
    errors: int
    """Answers other than 200."""

    @property
    def rate(self) -> float:
        """Return requests a second."""
        return len(self.latencies) / self.seconds

    def percentile(self, q: float) -> float:
        """Return a percentile of the latencies in microseconds."""
        return float(np.percentile(self.latencies, q) * 1e6)


class _Connection(asyncio.Protocol):
    """One connection that sends its next request when the answer to the last is whole."""

    def __init__(self, requests: Sequence[bytes], count: int, first: int, ended: "asyncio.Future[None]") -> None:
        self.requests, self.left, self.at, self.ended = requests, count, first, ended
        self.latencies: list[float] = []
        self.errors = 0
        self.buffer = b""
        self.started = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: asyncio.WriteTransport = transport  # type: ignore[assignment]
        self._next()

    def _next(self) -> None:
        if self.left == 0:
            self.transport.close()
            self.ended.set_result(None)
            return
        self.left -= 1
        self.at += 1
        self.started = time.perf_counter()
        self.transport.write(self.requests[self.at % len(self.requests)])

    def data_received(self, data: bytes) -> None:
        self.buffer = self.buffer + data if self.buffer else data
        head = self.buffer.find(_END)
        length = _LENGTH.search(self.buffer, 0, head) if head >= 0 else None
        if length is None or len(self.buffer) < head + len(_END) + int(length[1]):
            return
        self.latencies.append(time.perf_counter() - self.started)
        self.errors += not self.buffer.startswith(b"HTTP/1.1 200")
        self.buffer = b""
        self._next()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.ended.done():
            self.ended.set_exception(exc or ConnectionError("the server closed the connection"))


def request(path: str, body: bytes) -> bytes:
    """Return a POST request's bytes."""
    head = f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    return head.encode() + body


def drive(port: int, requests: Sequence[bytes], connections: int, count: int) -> Timed:
    """Send `count` requests over so many connections, one at a time on each."""
    return uvloop.run(_drive(port, requests, connections, count))


async def _drive(port: int, requests: Sequence[bytes], connections: int, count: int) -> Timed:
    loop = asyncio.get_running_loop()
    each = -(-count // connections)
    made: list[_Connection] = []
    started = time.perf_counter()
    for at in range(connections):
        connection = _Connection(requests, each, at * 7, loop.create_future())
        made.append(connection)
        await loop.create_connection(lambda mine=connection: mine, "127.0.0.1", port)  # type: ignore[misc]
    await asyncio.gather(*(connection.ended for connection in made))
    seconds = time.perf_counter() - started
    latencies = np.concatenate([np.array(connection.latencies) for connection in made])
    return Timed(seconds, latencies, sum(connection.errors for connection in made))
