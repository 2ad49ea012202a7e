"""The endpoints.  A score is computed where it is asked for; what takes longer goes to a thread.

Scoring one customer takes about a tenth of a millisecond, less than a hop to a thread and back.  A batch and an explanation take
up to hundreds of them, nearly all in compiled code that does without Python's lock, so a thread keeps other requests going.
"""

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import msgspec
import pyarrow as pa
from msgspec import UNSET
from starlette.requests import Request
from starlette.responses import Response

from propensity.config import Serving
from propensity.serving.answers import BatchResponse, Health, Ready, ScoreResponse
from propensity.serving.decode import body_of, decode
from propensity.serving.errors import RequestError, invalid, told
from propensity.serving.explaining import explained
from propensity.serving.models import Model
from propensity.serving.openapi import JSON
from propensity.serving.regions import Regions
from propensity.serving.requests import BatchRequest, Customer, ExplainRequest, Item, ScoreRequest, UserId
from propensity.serving.rows import Bucket, Day, PublishedScores, bucket_of, published
from propensity.serving.scoring import Row, at_position, check_item, plan, prepare, score, score_many
from propensity.storage import DataFile

Found = TypeVar("Found")
THREADS = 2

_SCORE = msgspec.json.Decoder(ScoreRequest)
_BATCH = msgspec.json.Decoder(BatchRequest)
_EXPLAIN = msgspec.json.Decoder(ExplainRequest)
_encode = msgspec.json.Encoder().encode


class Service:
    """The endpoints over the regions."""

    def __init__(self, regions: Regions, settings: Serving) -> None:
        self.regions = regions
        self.settings = settings
        self._threads: ThreadPoolExecutor | None = None
        self._reading: dict[str, asyncio.Future[Bucket]] = {}

    def close(self) -> None:
        """Let the threads go; whoever asks again gets new ones."""
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)
            self._threads = None

    async def score(self, request: Request) -> Response:
        """Score one customer."""
        model, served = self.regions.model(request.path_params["region"])
        asked = decode(_SCORE, await body_of(request, self.settings.max_body_bytes))
        wanted = plan(model, asked)
        result = score(model, await self._row(model, served.day, asked), wanted)
        fields = {name: getattr(result, name) for name in result.__struct_fields__}
        return _answer(ScoreResponse(region=model.region, version=model.version, digest=model.digest, **fields))

    async def batch(self, request: Request) -> Response:
        """Score several customers by one model version."""
        model, served = self.regions.model(request.path_params["region"])
        asked = decode(_BATCH, await body_of(request, self.settings.max_body_bytes))
        if len(asked.items) > self.settings.max_batch:
            raise invalid(f"{len(asked.items):,} items, more than {self.settings.max_batch:,}", "ask in several requests")
        wanted = plan(model, asked)
        rows = await self._rows(model, served.day, asked.items)
        results = await self._in_thread(score_many, model, rows, wanted)
        return _answer(BatchResponse(region=model.region, version=model.version, digest=model.digest, results=results))

    async def explain(self, request: Request) -> Response:
        """Explain one category's score of one customer."""
        model, served = self.regions.model(request.path_params["region"])
        asked = decode(_EXPLAIN, await body_of(request, self.settings.max_body_bytes))
        check_item(asked, self.regions.lake.user_type)
        column = model.column(asked.category)
        row = await self._row(model, served.day, asked)
        theirs: PublishedScores | None = None
        if asked.user_id is not UNSET and served.day is not None:
            theirs = await self._from_lake(published, self.regions.lake, served.day, asked.user_id)
        return _answer(await self._in_thread(explained, model, row, column, asked.n, self.settings.explain_tokens, theirs))

    async def status(self, _: Request) -> Response:
        """List the regions and what serves them."""
        return _answer(self.regions.status())

    async def ready(self, _: Request) -> Response:
        """Say whether any region can be asked: 200 or 503."""
        found = self.regions.status()
        any_served = any(region.serving for region in found)
        return _answer(Ready(any_served, found), 200 if any_served else 503)

    async def health(self, _: Request) -> Response:
        """Say that the process lives."""
        return _answer(Health("alive"))

    async def metrics(self, _: Request) -> Response:
        """Return the counters."""
        return Response(self.regions.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    async def _row(self, model: Model, day: Day | None, item: Customer, held: dict[str, Bucket] | None = None) -> Row:
        """Return a customer's row; raise RequestError when there is none."""
        check_item(item, self.regions.lake.user_type)
        if isinstance(item.features, dict):
            return self._prepared(model, item.features)
        if isinstance(item.user_id, int | str):
            return await self._stored(model, day, item.user_id, {} if held is None else held)
        raise invalid("nobody is asked for", "give features or a user_id")

    def _prepared(self, model: Model, features: Mapping[str, Any]) -> Row:
        row = prepare(model, features)
        if row.unknown:
            self.regions.metrics.unknown.labels(model.region).inc(row.unknown)
        return row

    async def _stored(self, model: Model, day: Day | None, user: UserId, held: dict[str, Bucket]) -> Row:
        """Return a stored feature row; `held` is the bucket of the customer before."""
        file = None if day is None else day.features.get(bucket_of(self.regions.lake, user))
        found = None
        if file is not None:
            bucket = held.get(file.path) or self.regions.cache.get(file) or await self._read(file)
            held.clear()
            held[file.path] = bucket
            found = bucket.row(user)
        if found is None or day is None:
            self.regions.metrics.not_found.labels(model.region).inc()
            of = f"of {day.score_date}" if day is not None else "at all"
            raise RequestError(
                404, f"no feature row {of} for user {user!r} in {model.region}", "give the features, or another id"
            )
        return Row(found, score_date=day.score_date)

    async def _rows(self, model: Model, day: Day | None, items: list[Item]) -> list[Row]:
        """Return several customers' rows.  Bucket after bucket, so that no more than one is held besides the cache."""
        rows: dict[int, Row] = {}
        held: dict[str, Bucket] = {}
        for at in self._by_bucket(items):
            try:
                rows[at] = await self._row(model, day, items[at], held)
            except RequestError as error:
                raise at_position(error, at) from None
            await asyncio.sleep(0)  # others have their turn
        return [rows[at] for at in range(len(items))]

    def _by_bucket(self, items: list[Item]) -> list[int]:
        lake = self.regions.lake
        for at, item in enumerate(items):
            try:
                check_item(item, lake.user_type)
            except RequestError as error:
                raise at_position(error, at) from None
        buckets = [-1 if item.user_id is UNSET else bucket_of(lake, item.user_id) for item in items]
        return sorted(range(len(items)), key=lambda at: buckets[at])

    async def _read(self, file: DataFile) -> Bucket:
        """Read a bucket in a thread, once for all who ask for it meanwhile."""
        reading = self._reading.get(file.path)
        if reading is None:
            reading = asyncio.ensure_future(self._from_lake(self.regions.cache.read, self.regions.lake, file))
            self._reading[file.path] = reading
            reading.add_done_callback(lambda _: self._reading.pop(file.path, None))
        return await asyncio.shield(reading)

    async def _from_lake(self, function: Callable[..., Found], *arguments: Any) -> Found:
        try:
            return await self._in_thread(function, *arguments)
        except (OSError, pa.ArrowException) as error:
            do = "ask again; the next refresh looks for newer rows"
            raise RequestError(503, f"the customer's stored row cannot be read just now: {told(error)}", do) from None

    async def _in_thread(self, function: Callable[..., Found], *arguments: Any) -> Found:
        if self._threads is None:
            self._threads = ThreadPoolExecutor(THREADS, "work")
        return await asyncio.get_running_loop().run_in_executor(self._threads, function, *arguments)


def _answer(content: Any, status: int = 200) -> Response:
    return Response(_encode(content), status, media_type=JSON)
