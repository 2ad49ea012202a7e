"""What the service says of itself: the document, the page, the counters."""

import json
import re

import pytest
from tests.support.online import ROUTE, crowned_lake, online, pipeline_of, record_of
from tests.support.trained import shared


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    return online(crowned_lake(tmp_path_factory.mktemp("documents")))


@pytest.fixture(scope="module")
def document(service):
    return service.get("/openapi.json").json()


def operations(document):
    return [(path, method, told) for path, methods in document["paths"].items() for method, told in methods.items()]


def test_every_operation_is_described_with_examples_and_errors(document):
    found = operations(document)
    assert {told["operationId"] for _, _, told in found} == {
        "score", "batch", "explain", "status", "ready", "health", "metrics",
    }  # fmt: skip
    for path, method, told in found:
        assert told["summary"]
        assert told["description"]
        assert told["tags"]
        for status, response in told["responses"].items():
            (content,) = response["content"].values()
            assert content["example"], (path, status)
        if method == "post":
            assert set(told["responses"]) == {"200", "400", "404", "413", "422", "503"}
            assert told["requestBody"]["content"]["application/json"]["examples"]


def test_examples_of_answers_and_requests_fit_the_classes_that_encode_and_decode(document):
    import msgspec

    from propensity.serving.examples import ANSWERED, ASKED
    from propensity.serving.openapi import OPERATIONS

    for operation in OPERATIONS:
        if operation.answer is not None:
            msgspec.convert(ANSWERED[operation.name], operation.answer)
        for example in ASKED.get(operation.name, {}).values():
            msgspec.convert(example, operation.ask)


def test_fields_are_described_and_user_ids_have_this_configurations_type(document):
    asked = document["components"]["schemas"]["ScoreRequest"]
    assert all(told.get("description") for told in asked["properties"].values() if "default" not in told)
    assert asked["properties"]["user_id"]["type"] == "string"
    assert asked["additionalProperties"] is False


def test_the_page_names_every_operation_and_asks_no_other_host(service, document):
    response = service.get("/docs")
    html = response.text
    for path, method, told in operations(document):
        assert f'data-path="{path}" data-method="{method.upper()}"' in html
        assert told["summary"].replace("'", "&#x27;") in html
    assert not re.search(r"""(?:src|href|url)\s*[=(]\s*["']?\s*(?:https?:)?//""", html)
    assert "default-src 'none'" in response.headers["content-security-policy"]
    assert service.get("/").headers["location"] == "/docs"


def test_the_page_writes_out_what_could_be_markup():
    from propensity.serving.page import page

    told = {"operationId": "x", "summary": "<em>", "description": "a `<i>`", "tags": ["<u>"], "responses": {}}
    told["responses"] = {"200": {"description": "", "content": {"text/plain": {"example": "</pre><script>"}}}}
    info = {"title": "<h1>", "description": "<p>"}
    html = page(
        {"info": info, "tags": [{"name": "<u>", "description": "<s>"}], "paths": {"/<x>": {"get": told}}, "components": {}}
    )
    for mark in ("<em>", "<i>", "<u>", "<s>", "</pre><script>", "/<x>"):
        assert mark not in html


def test_requests_are_counted_by_route_and_status(tmp_path):
    service = online(crowned_lake(tmp_path))
    record = record_of(pipeline_of(service.regions.lake, shared()[1].version))
    for _ in range(3):
        service.post("score", {"features": {**record, "what": 1.0}})
    service.post("score", {"features": 3})
    service.post("score", {"user_id": "nobody"})
    service.get("/nowhere/at/all")
    text = service.get("/metrics").text
    route = 'route="/v1/{region}/score"'
    for line in (
        f'propensity_requests_total{{{route},status="200"}} 3.0',
        f'propensity_requests_total{{{route},status="422"}} 1.0',
        f'propensity_requests_total{{{route},status="404"}} 1.0',
        'propensity_requests_total{route="none",status="404"} 1.0',
        f'propensity_request_seconds_count{{{route},status="200"}} 3.0',
        'propensity_unknown_features_total{region="coast"} 3.0',
        'propensity_users_not_found_total{region="coast"} 1.0',
        f'propensity_model_info{{digest="{shared()[1].digest}",region="coast",version="{shared()[1].version}"}} 1.0',
    ):
        assert line in text.splitlines(), line


def test_answers_are_json_and_say_so(service):
    response = service.ask("POST", f"{ROUTE}/score", json={"features": {}})
    assert response.headers["content-type"] == "application/json"
    assert json.loads(response.text)["region"] == "coast"
