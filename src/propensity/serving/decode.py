"""From a body's bytes to a request: what is not JSON, ambiguous, or not as the schema says is refused with a reason."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import msgspec
from starlette.requests import Request

from propensity.serving.errors import RequestError, invalid
from propensity.serving.requests import DEFAULT_N, BatchRequest, Customer, ExplainRequest, ScoreRequest, Value

Asked = TypeVar("Asked", ScoreRequest, BatchRequest, ExplainRequest)

DIGITS = 20
"""Of a length that is believed; a longer one is found out while the body comes in."""
_SPACED = (b" :", b"\t:", b"\n:", b"\r:")
_VALUE = "give a finite number, a string, a list of strings, or a map from string to finite number"


async def body_of(request: Request, limit: int) -> bytes | bytearray:
    """Return the body; raise RequestError as soon as it is larger than `limit`."""
    length = next((value for name, value in request.scope["headers"] if name == b"content-length"), b"")
    if length.isdigit() and len(length) < DIGITS and int(length) > limit:
        raise _too_large(limit)
    part, more = await _part(request)
    if not more and len(part) <= limit:
        return part
    body = bytearray(part)
    while more and len(body) <= limit:
        part, more = await _part(request)
        body += part
    if len(body) > limit:
        raise _too_large(limit)
    return body


async def _part(request: Request) -> tuple[bytes, bool]:
    """Return some of the body and whether there is more."""
    message = await request.receive()
    if message["type"] == "http.disconnect":
        raise RequestError(400, "the request ended before its body did", "send it again")
    return message.get("body", b""), message.get("more_body", False)


def _too_large(limit: int) -> RequestError:
    do = "ask for fewer customers at once, or raise serving.max_body_bytes"
    return RequestError(413, f"the body is larger than {limit:,} bytes", do)


def decode(decoder: "msgspec.json.Decoder[Asked]", body: bytes | bytearray) -> Asked:
    """Return the request in a body; raise RequestError: 400 for what is not JSON, 422 for what is not such a request."""
    try:
        asked = decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _explained(body, error) from None
    _refuse_ambiguous(body, asked)
    return asked


def _refuse_ambiguous(body: bytes | bytearray, asked: ScoreRequest | BatchRequest | ExplainRequest) -> None:
    """Raise RequestError when a key stands twice in an object: nobody knows which is meant."""
    # A closing quote and a colon end each key, and little else.  As many of them as different keys: none stands twice.
    keys = _keys(asked)
    plain = body.count(b":") == keys or not any(spaced in body for spaced in _SPACED)
    if not plain or body.count(b'":') != keys:
        json.loads(body, object_pairs_hook=_once)


def _keys(asked: ScoreRequest | BatchRequest | ExplainRequest) -> int:
    """Return how many keys were given, at least: a default that was given too is not counted."""
    items: Sequence[Customer] = asked.items if isinstance(asked, BatchRequest) else (asked,)
    defaults = int(asked.n == DEFAULT_N) if isinstance(asked, ExplainRequest) else int(not asked.answer)
    count = _given(asked) - defaults
    if isinstance(asked, BatchRequest):
        count += sum(map(_given, items))
    return count + sum(_feature_keys(item.features) for item in items if isinstance(item.features, dict))


def _given(fields: msgspec.Struct) -> int:
    values = msgspec.structs.astuple(fields)
    return len(values) - values.count(msgspec.UNSET)


def _feature_keys(features: Mapping[str, Value]) -> int:
    return len(features) + sum(len(value) for value in features.values() if type(value) is dict)


def _once(pairs: list[tuple[str, Any]]) -> None:
    names = [name for name, _ in pairs]
    if len(set(names)) != len(names):
        twice = next(name for at, name in enumerate(names) if name in names[:at])
        raise invalid(f"the key {twice!r} stands twice in one object", "say once what is meant")


def _explained(body: bytes | bytearray, error: Exception) -> RequestError:
    """Return what is wrong with a body that was refused."""
    try:
        content = msgspec.json.decode(body)
    except msgspec.ValidationError as found:
        return invalid(str(found), "give finite numbers")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as found:
        return RequestError(400, f"the body is not JSON: {found}", "send a JSON object, UTF-8, without NaN or Infinity")
    return invalid(_named(content) or str(error), "see /docs for what a request looks like")


def _named(content: object) -> str:
    """Return which raw feature is none, the first one, or nothing when it is something else."""
    items = content.get("items", [content]) if isinstance(content, dict) else []
    for at, item in enumerate(items if isinstance(items, list) else []):
        features = item.get("features") if isinstance(item, dict) else None
        for name, value in features.items() if isinstance(features, dict) else ():
            try:
                msgspec.convert(value, Value)
            except msgspec.ValidationError:
                where = f"items[{at}]: " if isinstance(content, dict) and "items" in content else ""
                return f"{where}feature {str(name)[:80]!r} cannot be {_short(value)}: {_VALUE}"
    return ""


def _short(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 80 else text[:79] + "…"
