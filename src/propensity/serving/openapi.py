"""The OpenAPI document: FastAPI's frame, the schemas of the very classes that decode and encode, examples, errors."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from propensity.config import Config
from propensity.serving import answers, requests
from propensity.serving.examples import ANSWERED, ASKED, NOT_READY, REFUSED

REF = "#/components/schemas/{name}"
JSON = "application/json"
DESCRIPTION = """How likely is a customer to act in each category in the coming days?

Each region is answered by its champion. A newer one is taken into service within seconds of its promotion, without a request
being lost, and every answer names the version and the digest of the bundle that made it. Errors are one line: what is wrong, and
what to do."""

SCORE = """The ten likeliest categories unless `top_k` or `categories` says otherwise. A model of one category can also answer yes
or no. Probabilities are float32, written as the double that equals them exactly."""
BATCH = """Answered in the order of the items, all by one model version. One bad item refuses the whole request and names its
position."""
EXPLAIN = """Words are taken out of the customer's features one after the other, the largest effect first; a contribution is what
that changed in the logit. base + contributions + rest is the logit. For a user id whose score is published for that date by this
version, also the published probability and whether it is the same to the bit."""
REGIONS = "What each region is served by, since when, and why not by anything newer."
METRICS = "Counters as Prometheus reads them, of the process that answers."

Method = Literal["GET", "POST"]


@dataclass(frozen=True)
class Operation:
    """One thing that can be asked."""

    name: str
    """Of the operation, and of the service's method."""
    method: Method
    path: str
    summary: str
    description: str
    answer: Any
    """Its type; None: text."""
    ask: Any = None
    """The request's type."""
    errors: tuple[int, ...] = ()

    @property
    def tag(self) -> str:
        """Return the section it belongs to."""
        return "Scores" if self.ask else "Service"


TAGS = [
    {"name": "Scores", "description": "One customer or several, by raw features or by user id."},
    {"name": "Service", "description": "What is served, and how it is doing."},
]
POSTED = (400, 404, 413, 422, 503)
V1 = "/v1/{region}"
OPERATIONS = (
    Operation("score", "POST", f"{V1}/score", "Score one customer", SCORE, answers.ScoreResponse, requests.ScoreRequest, POSTED),
    Operation("batch", "POST", f"{V1}/score/batch", "Score several", BATCH, answers.BatchResponse, requests.BatchRequest, POSTED),
    Operation("explain", "POST", f"{V1}/explain", "Explain", EXPLAIN, answers.ExplainResponse, requests.ExplainRequest, POSTED),
    Operation("status", "GET", "/v1/regions", "List the regions", REGIONS, list[answers.RegionStatus]),
    Operation("ready", "GET", "/ready", "Ready?", "200 when a region is served.", answers.Ready, errors=(503,)),
    Operation("health", "GET", "/health", "Alive?", "200 while the process lives.", answers.Health),
    Operation("metrics", "GET", "/metrics", "Metrics", METRICS, None),
)


def describe(document: dict[str, Any], config: Config) -> dict[str, Any]:
    """Return FastAPI's document with parameters, bodies, answers, errors and the schemas of our own classes."""
    types = [t for o in OPERATIONS for t in (o.ask, o.answer) if t is not None] + [answers.Error]
    schemas, components = msgspec.json.schema_components(types, ref_template=REF)
    schema_of = {str(t): schema for t, schema in zip(types, schemas, strict=True)}
    for operation in OPERATIONS:
        told = document["paths"][operation.path][operation.method.lower()]
        told |= _parameters(operation, config) | _body(operation, schema_of) | _responses(operation, schema_of)
    _tighten(components, config)
    return {**document, "tags": TAGS, "components": {"schemas": components}}


def _parameters(operation: Operation, config: Config) -> dict[str, Any]:
    if "{region}" not in operation.path:
        return {}
    schema = {"type": "string", "examples": list(config.region_names)}
    says = "A region of the configuration."
    return {"parameters": [{"name": "region", "in": "path", "required": True, "description": says, "schema": schema}]}


def _body(operation: Operation, schema_of: Mapping[str, Any]) -> dict[str, Any]:
    if operation.ask is None:
        return {}
    examples = {name: {"value": value} for name, value in ASKED[operation.name].items()}
    return {"requestBody": {"required": True, "content": {JSON: {"schema": schema_of[str(operation.ask)], "examples": examples}}}}


def _responses(operation: Operation, schema_of: Mapping[str, Any]) -> dict[str, Any]:
    if operation.answer is None:
        media, schema = "text/plain", {"type": "string"}
    else:
        media, schema = JSON, schema_of[str(operation.answer)]
    done = {"description": "Done", "content": {media: {"schema": schema, "example": ANSWERED[operation.name]}}}
    return {"responses": {"200": done, **{str(status): _error(operation, status, schema_of) for status in operation.errors}}}


def _error(operation: Operation, status: int, schema_of: Mapping[str, Any]) -> dict[str, Any]:
    if operation.name == "ready":
        content = {"schema": schema_of[str(operation.answer)], "example": NOT_READY}
        return {"description": "No region is served", "content": {JSON: content}}
    says, error, do = REFUSED[status]
    content = {"schema": schema_of[str(answers.Error)], "example": {"error": error, "do": do}}
    return {"description": says, "content": {JSON: content}}


def _tighten(components: dict[str, Any], config: Config) -> None:
    """Say in the schemas what the classes cannot: one of two fields, the type of this configuration's user ids."""
    for name in ("Item", "ScoreRequest", "ExplainRequest"):
        schema = components[name]
        schema["oneOf"] = [{"required": ["features"]}, {"required": ["user_id"]}]
        user = schema["properties"]["user_id"]
        strings = config.tables.user_id == "string"
        (kind,) = (kind for kind in user.pop("anyOf") if (kind["type"] == "string") == strings)
        user.update(kind)
    for name in ("ScoreRequest", "BatchRequest"):
        components[name]["not"] = {"required": ["top_k", "categories"]}
        components[name]["dependentRequired"] = {"threshold": ["answer"]}
