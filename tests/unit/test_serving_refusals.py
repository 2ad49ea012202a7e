"""What the service says no to: always a 4xx or the documented 503, in one line that says what to do."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.online import ROUTE, crowned_lake, online, pipeline_of, record_of
from tests.support.trained import shared

LIMIT = 4096
REAL = "order.topic.count_30"


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    return online(crowned_lake(tmp_path_factory.mktemp("refusals"), max_body_bytes=LIMIT, max_batch=3))


def refused(response, status, says):
    assert response.status_code == status, response.text
    told = response.json()
    assert set(told) == {"error", "do"}
    assert says in told["error"]
    assert told["do"]
    assert "\n" not in told["error"] + told["do"]


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        (b"", 400, "not JSON"),
        (b"{", 400, "not JSON"),
        (b'{"features": nope}', 400, "not JSON"),
        (b'{"unknown": nope}', 400, "not JSON"),
        (b"\xff\xfe", 400, "not JSON"),
        (b'{"user_id": "\xff"}', 400, "not JSON"),
        (b'{"user_id": "\\ud800"}', 400, "not JSON"),
        (b'{"user_id": "x"} x', 400, "not JSON"),
        (b"[" * 4000, 400, "not JSON"),
        (b'{"features": {"a": NaN}}', 400, "not JSON"),
        (b'{"features": {"a": -Infinity}}', 400, "not JSON"),
        (b'{"features": {"a": 1e999}}', 422, "out of range"),
        (b'{"features": {"a": ' + b"9" * 400 + b"}}", 422, "feature 'a' cannot be 999"),
        (b"[1]", 422, "Expected `object`"),
        (b"null", 422, "Expected `object`"),
        (b"{}", 422, "neither of features and user_id"),
        (b'{"features": {}, "user_id": "a"}', 422, "both of features and user_id"),
        (b'{"features": {}, "k": 1}', 422, "unknown field `k`"),
        (b'{"user_id": 7}', 422, "user ids are string here"),
        (b'{"user_id": true}', 422, "got `bool`"),
        (b'{"user_id": 1.5}', 422, "got `float`"),
        (b'{"user_id": null}', 422, "got `null`"),
        (b'{"user_id": "a", "user_id": "b"}', 422, "'user_id' stands twice"),
        (b'{"user_id": "a", "user_id" : "b"}', 422, "'user_id' stands twice"),
        (b'{"features": {"a": 1, "a": 2}}', 422, "'a' stands twice"),
        (b'{"features": {"a": {"b": 1, "b": 2}}}', 422, "'b' stands twice"),
        (b'{"features": {"a": 1}, "features": {"b": 1}}', 422, "'features' stands twice"),
        (b'{"features": {}, "answer": false, "answer": false}', 422, "'answer' stands twice"),
        (b'{"features": {"a\\":": {"b": 1}, "a\\":": {"b": 1}}}', 422, "stands twice"),
        (b'{"features": {"a": null}}', 422, "feature 'a' cannot be null"),
        (b'{"features": {"a": true}}', 422, "feature 'a' cannot be true"),
        (b'{"features": {"ok": 1, "a": [1]}}', 422, "feature 'a' cannot be [1]"),
        (b'{"features": {"a": {"b": "c"}}}', 422, 'feature \'a\' cannot be {"b": "c"}'),
        (b'{"features": {"a": [["b"]]}}', 422, "feature 'a' cannot be"),
        (b'{"features": [1]}', 422, "Expected `object`"),
        (b'{"features": {}, "top_k": 0}', 422, ">= 1"),
        (b'{"features": {}, "top_k": -1}', 422, ">= 1"),
        (b'{"features": {}, "top_k": 2.5}', 422, "got `float`"),
        (b'{"features": {}, "top_k": "3"}', 422, "got `str`"),
        (b'{"features": {}, "top_k": null}', 422, "got `null`"),
        (b'{"features": {}, "top_k": 3, "categories": ["topic 0"]}', 422, "top_k and categories"),
        (b'{"features": {}, "categories": []}', 422, "length >= 1"),
        (b'{"features": {}, "categories": ["no such"]}', 422, "unknown category 'no such'"),
        (b'{"features": {}, "categories": [123456789012345678901234567890]}', 422, "unknown category"),
        (b'{"features": {}, "categories": [-1]}', 422, "unknown category -1"),
        (b'{"features": {}, "categories": [true]}', 422, "got `bool`"),
        (b'{"features": {}, "answer": true}', 422, "model of one category"),
        (b'{"features": {}, "answer": 1}', 422, "got `int`"),
        (b'{"features": {}, "threshold": 0.5}', 422, "no answer is asked for"),
        (b'{"features": {}, "answer": true, "threshold": 1.5}', 422, "<= 1"),
        (b'{"user_id": "nobody"}', 404, "no feature row of 2025-06-20 for user 'nobody'"),
        (b'{"user_id": ""}', 404, "no feature row"),
        (b'{"user_id": "\\u0000\\ud83d\\ude00"}', 404, "no feature row"),
    ],
)
def test_a_score_is_refused(service, body, status, says):
    refused(service.post("score", content=body), status, says)


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        ({"items": []}, 422, "length >= 1"),
        ({}, 422, "missing required field `items`"),
        ({"items": [{"features": {}}] * 4}, 422, "4 items, more than 3"),
        ({"items": [{"features": {}}, {}]}, 422, "items[1]: neither"),
        ({"items": [{"features": {}}, {"user_id": 3}]}, 422, "items[1]: user ids are string"),
        ({"items": [{"features": {}}, {"user_id": "nobody"}]}, 404, "items[1]: no feature row"),
        ({"items": [{"features": {}}, {"features": {"a": [2]}}]}, 422, "items[1]: feature 'a' cannot be [2]"),
        ({"items": [{"features": {}, "top_k": 1}]}, 422, "unknown field `top_k`"),
        ({"items": [{"features": {}}], "features": {}}, 422, "unknown field `features`"),
        ({"items": [{"features": {REAL: {"topic 0": -1e300}}}] * 2, "top_k": 1}, 200, ""),
    ],
)
def test_a_batch_is_refused_with_the_position_of_what_is_wrong(service, body, status, says):
    response = service.post("score/batch", body)
    if status == 200:
        assert response.status_code == 200, response.text
    else:
        refused(response, status, says)


@pytest.mark.parametrize("path", ["score", "score/batch"])
def test_numbers_too_large_for_the_model_are_refused_not_answered(service, path):
    word = pipeline_of(service.regions.lake, shared()[1].version).vectoriser.blocks["order.topic"].words[0]
    item = {"features": {"order.topic.recency": {word: -1e30}}}
    for body in [item] if path == "score" else [{"items": [{"features": {}}, item]}, {"items": [item]}]:
        response = service.post(path, body)
        refused(response, 422, "not a finite number")
        assert ("items[" in response.text) == (path != "score")


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        ({"features": {}}, 422, "missing required field `category`"),
        ({"category": "topic 0"}, 422, "neither"),
        ({"features": {}, "category": "no such"}, 422, "unknown category"),
        ({"features": {}, "category": 0.5}, 422, "got `float`"),
        ({"features": {}, "category": "no such", "n": 0}, 422, ">= 1"),
        ({"features": {}, "category": "no such", "top_k": 3}, 422, "unknown field `top_k`"),
    ],
)
def test_an_explanation_is_refused(service, body, status, says):
    refused(service.post("explain", body), status, says)


def test_regions_that_are_not_there_and_not_yet(service):
    refused(service.ask("POST", "/v1/atlantis/score", json={"features": {}}), 404, "unknown region 'atlantis'")
    for path in ("score", "score/batch", "explain"):
        refused(service.ask("POST", f"/v1/alps/{path}", json={}), 503, "region alps: no model has been promoted")


def test_other_methods_and_paths(service):
    refused(service.get("/v1/nothing"), 404, "Not Found")
    refused(service.get(f"{ROUTE}/score/"), 404, "Not Found")
    response = service.get(f"{ROUTE}/score")
    refused(response, 405, "Method Not Allowed")
    assert response.headers["allow"] == "POST"


def sent_in_parts(service, parts, length=None):
    """Send a body piece by piece; return the status and how many pieces were asked for."""
    taken, statuses = 0, []

    async def receive():
        nonlocal taken
        taken += 1
        return {"type": "http.request", "body": parts[taken - 1], "more_body": taken < len(parts)}

    async def send(message):
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    headers = [(b"content-type", b"application/json")] + ([(b"content-length", length)] if length else [])
    scope = {
        "type": "http", "method": "POST", "path": f"{ROUTE}/score", "raw_path": b"", "query_string": b"", "headers": headers,
        "http_version": "1.1", "scheme": "http", "asgi": {"version": "3.0"}, "server": ("service", 80), "client": ("me", 1),
    }  # fmt: skip
    asyncio.run(service.app(scope, receive, send))
    return statuses[0], taken


def test_a_large_body_is_refused_while_it_comes_in(service):
    endless = [b" " * 1000] * 1000
    assert sent_in_parts(service, endless) == (413, 5), "refused with the first piece beyond the limit"
    assert sent_in_parts(service, endless, b"1000000") == (413, 0), "not even begun when it says its size"
    assert sent_in_parts(service, endless, b"9" * 30) == (413, 5)
    whole = b'{"features": {}}'
    assert sent_in_parts(service, [whole[:5], whole[5:], b" " * (LIMIT - len(whole))]) == (200, 3), "the limit itself is fine"
    refused(service.post("score", content=b" " * (LIMIT + 1)), 413, "larger than 4,096 bytes")


def test_a_client_that_goes_away_in_the_middle_is_no_error_of_ours(service):
    status, _ = asyncio.run(_half(service.app))
    assert status == 400


async def _half(app):
    messages = [{"type": "http.request", "body": b'{"fea', "more_body": True}, {"type": "http.disconnect"}]
    statuses = []

    async def receive():
        return messages.pop(0)

    async def send(message):
        statuses.append(message.get("status"))

    scope = {
        "type": "http",
        "method": "POST",
        "path": f"{ROUTE}/score",
        "query_string": b"",
        "headers": [],
        "http_version": "1.1",
    }
    await app({**scope, "scheme": "http", "server": ("service", 80), "asgi": {"version": "3.0"}}, receive, send)
    return statuses[0], len(messages)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5) | st.sampled_from([REAL, "items"]), inner, max_size=3)
    ),
    max_leaves=8,
)
fields = st.sampled_from(["features", "user_id", "top_k", "categories", "answer", "threshold", "items", "category", "n"])


@given(
    path=st.sampled_from(["score", "score/batch", "explain"]), body=st.dictionaries(fields, json_values, max_size=5) | json_values
)
def test_no_json_makes_the_service_fail(service, path, body):
    import json

    response = service.post(path, content=json.dumps(body).encode())
    assert response.status_code in {200, 400, 404, 413, 422}, response.text


@given(path=st.sampled_from(["score", "score/batch", "explain"]), body=st.binary(max_size=40))
def test_no_bytes_make_the_service_fail(service, path, body):
    assert service.post(path, content=body).status_code in {400, 413, 422}


def test_a_bug_is_an_error_like_the_others(service, monkeypatch):
    import httpx

    async def asked():
        transport = httpx.ASGITransport(service.app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
            return await client.post(f"{ROUTE}/score", content=b"{}")

    monkeypatch.setattr(service.regions, "model", lambda _: 1 // 0)
    refused(asyncio.run(asked()), 500, "a bug of the service: ZeroDivisionError")


def test_a_missing_stored_file_is_the_documented_503(tmp_path):
    lake = crowned_lake(tmp_path)
    service = online(lake)
    features = lake.config.home / "lake" / "features"
    features.rename(features.with_name("gone"))
    refused(service.post("score", {"user_id": "anyone"}), 503, "cannot be read just now")
    assert service.post("score", {"features": record_of(pipeline_of(lake, shared()[1].version))}).status_code == 200
