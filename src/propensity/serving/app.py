"""The online service as an ASGI application: routes, errors, counting, start and end."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
from fastapi import FastAPI
from fastapi.routing import APIRoute, APIRouter
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from propensity.config import load_config
from propensity.serving.answers import Error
from propensity.serving.errors import RequestError, one_line
from propensity.serving.metrics import Metrics
from propensity.serving.openapi import DESCRIPTION, JSON, OPERATIONS, describe
from propensity.serving.page import CSP, page
from propensity.serving.regions import Refresher, Regions
from propensity.serving.service import Service
from propensity.storage import Lake

NOWHERE = "none"
"""What requests to no route are counted under."""


class Direct(APIRoute):
    """A route whose endpoint takes the request and returns the response itself: FastAPI's own way costs as much as a score."""

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request whose path is this route's."""
        if scope["method"] not in self.methods:
            await super().handle(scope, receive, send)
            return
        try:
            response = await self.endpoint(Request(scope, receive))
        except RequestError as error:
            response = refusal(error)
        await response(scope, receive, send)


def refusal(error: RequestError) -> Response:
    """Return the response of a request that cannot be answered."""
    return Response(msgspec.json.encode(Error(error.error, error.do)), error.status, media_type=JSON)


def create_app(regions: Regions) -> FastAPI:
    """Return the application over some regions; it refreshes them while it runs."""
    settings = regions.lake.config.runtime.serving
    service = Service(regions, settings)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        refresher = Refresher(regions, settings.refresh_seconds)
        refresher.start()
        yield
        await asyncio.to_thread(refresher.stop)
        service.close()

    app = FastAPI(
        title="Propensity",
        version="1",
        description=DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        lifespan=lifespan,
    )
    app.router.redirect_slashes = False
    _add_routes(app, service, regions.lake)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(Exception, _bug)
    app.add_middleware(Counting, metrics=regions.metrics)
    return app


def from_environment() -> FastAPI:
    """Return the application over the configuration that the environment names: what a worker process serves."""
    return create_app(Regions(Lake(load_config())))


def _add_routes(app: FastAPI, service: Service, lake: Lake) -> None:
    router = APIRouter(route_class=Direct)
    for operation in OPERATIONS:
        router.add_api_route(
            operation.path,
            getattr(service, operation.name),
            methods=[operation.method],
            operation_id=operation.name,
            summary=operation.summary,
            description=operation.description,
            tags=[operation.tag],
            response_model=None,
        )
    app.include_router(router)
    document = msgspec.json.encode(describe(app.openapi(), lake.config))
    html = page(msgspec.json.decode(document))

    async def openapi(_: Request) -> Response:
        return Response(document, media_type=JSON)

    async def docs(_: Request) -> Response:
        return HTMLResponse(html, headers={"content-security-policy": CSP})

    async def root(_: Request) -> Response:
        return RedirectResponse("/docs")

    for path, handler in {"/openapi.json": openapi, "/docs": docs, "/": root}.items():
        app.router.add_route(path, handler, methods=["GET"], include_in_schema=False)


async def _http(_: Request, error: Exception) -> Response:
    """Answer what no route did, in the words of the other errors."""
    found = error if isinstance(error, HTTPException) else HTTPException(500)
    response = refusal(RequestError(found.status_code, one_line(found.detail), "see /docs for what can be asked"))
    response.headers.update(found.headers or {})
    return response


async def _bug(_: Request, error: Exception) -> Response:
    """Answer what should not have happened; the server logs its traceback."""
    return refusal(RequestError(500, f"a bug of the service: {type(error).__name__}", "its log has the traceback; report it"))


class Counting:
    """Count and time every request by route and status."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self.app, self.metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started, status = time.perf_counter(), 500

        async def sent(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, sent)
        finally:
            route = getattr(scope.get("route"), "path", NOWHERE)
            self.metrics.answered(route, status, time.perf_counter() - started)
