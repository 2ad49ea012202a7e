"""Scoring online: the very bits of the pipeline, by features and by user id, one and several."""

import json

import numpy as np
import pytest
from tests.support.online import NEWEST, ROUTE, add_version, crown, crowned_lake, online, pipeline_of, record_of
from tests.support.trained import REGION, shared

from propensity.contracts import FEATURES
from propensity.features.csr import from_arrow


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    return online(crowned_lake(tmp_path_factory.mktemp("online")))


@pytest.fixture(scope="module")
def pipeline(service):
    return pipeline_of(service.regions.lake, shared()[1].version)


@pytest.fixture(scope="module")
def stored(service):
    """Every customer's stored row at the newest date."""
    lake = service.regions.lake
    rows = lake.read_rows(FEATURES, region=REGION, score_date=NEWEST.isoformat()).combine_chunks()
    batch = from_arrow(rows["indices"].chunk(0), rows["values"].chunk(0))
    return {user: batch.take(np.array([at])) for at, user in enumerate(rows["user_id"].to_pylist())}


def bits(probabilities):
    return np.array(probabilities, np.float32).tobytes()


def answered(response):
    assert response.status_code == 200, response.text
    return response.json()


def test_a_record_has_the_pipelines_own_scores(service, pipeline):
    record = record_of(pipeline)
    told = answered(service.post("score", {"features": record, "top_k": 5}))
    ids, probabilities = pipeline.top_k([record], 5)
    assert [c["id"] for c in told["categories"]] == ids[0].tolist()
    assert bits([c["probability"] for c in told["categories"]]) == probabilities[0].tobytes()
    assert (told["version"], told["digest"]) == (shared()[1].version, shared()[1].digest)
    assert (told["source"], told["unknown_features"]) == ("model", 0)
    assert "score_date" not in told


def test_every_stored_customer_has_the_predictors_own_scores(service, pipeline, stored):
    for user, row in stored.items():
        told = answered(service.post("score", {"user_id": user, "top_k": 100}))
        ids, probabilities = pipeline.predictor.top_k(row, 100)
        assert [c["id"] for c in told["categories"]] == ids[0].tolist()
        assert bits([c["probability"] for c in told["categories"]]) == probabilities[0].tobytes()
        assert told["score_date"] == NEWEST.isoformat()


def test_a_probability_is_written_as_the_double_that_equals_it(service, pipeline):
    text = service.post("score", {"features": record_of(pipeline)}).text
    for number in (c["probability"] for c in json.loads(text)["categories"]):
        assert float(np.float32(number)) == number


def test_ten_categories_unless_told_and_never_more_than_there_are(service, pipeline):
    assert len(answered(service.post("score", {"features": {}}))["categories"]) == 10
    everything = answered(service.post("score", {"features": {}, "top_k": 2**70}))["categories"]
    assert len(everything) == len(pipeline.categories)


def test_named_categories_come_in_their_order_by_name_and_by_id(service, pipeline):
    record = record_of(pipeline)
    every = {c["name"]: c for c in answered(service.post("score", {"features": record, "top_k": 100}))["categories"]}
    names = [list(every)[at] for at in (7, 0, 3)]
    told = answered(service.post("score", {"features": record, "categories": [names[0], every[names[1]]["id"], names[2]]}))
    assert told["categories"] == [every[name] for name in names]
    assert "topic" in names[0] or "special" in names[0], "categories have the names of the tokens table"


def test_what_the_model_does_not_know_is_dropped_and_counted(service, pipeline):
    known = record_of(pipeline, words=1)
    name = next(iter(known))
    more = {**known, name: {**known[name], "no such word": 1.0}, "no.such.name": ["a", "b", "a"], "nor.this": 3.5, "or": "x"}
    plain, told = (answered(service.post("score", {"features": f})) for f in (known, more))
    assert told["unknown_features"] == 1 + 2 + 1 + 1
    assert told["categories"] == plain["categories"]


def test_nobody_knows_anything_of_an_empty_record(service, pipeline):
    told = answered(service.post("score", {"features": {"what": {"is": 1}}, "top_k": 3}))
    assert told["source"] == "prior"
    assert bits([c["probability"] for c in told["categories"]]) == pipeline.top_k([{}], 3)[1][0].tobytes()


def test_a_batch_has_the_scores_of_its_items(service, pipeline, stored):
    items = [{"user_id": user} for user in list(stored)[:40]] + [{"features": record_of(pipeline, n)} for n in (0, 1, 2)]
    items = items[::2] + items[1::2]
    told = answered(service.post("score/batch", {"items": items, "top_k": 4}))
    assert len(told["results"]) == len(items)
    for item, result in zip(items, told["results"], strict=True):
        alone = answered(service.post("score", {**item, "top_k": 4}))
        assert result == {key: alone[key] for key in result}


def test_more_than_one_chunk_of_a_batch_keeps_its_order(service, pipeline):
    items = [{"features": dict.fromkeys(record_of(pipeline), 1.0 * at)} for at in range(150)]
    results = answered(service.post("score/batch", {"items": items, "top_k": 1}))["results"]
    assert [r["unknown_features"] for r in results] == [len(record_of(pipeline))] * 150


def test_a_model_of_one_category_answers_yes_or_no(tmp_path):
    lake = crowned_lake(tmp_path)
    crown(lake, "one", add_version(lake, "one", categories=1))
    service = online(lake)
    record = record_of(pipeline_of(lake, "one"))
    probability = answered(service.post("score", {"features": record}))["categories"][0]["probability"]
    for threshold, yes in ((probability, True), (np.nextafter(probability, 1), False), (None, probability >= 0.5)):
        more = {} if threshold is None else {"threshold": threshold}
        told = answered(service.post("score", {"features": record, "answer": True, **more}))
        assert told["answer"] == {"yes": yes, "probability": probability, "threshold": 0.5 if threshold is None else threshold}


def test_many_customers_at_once_do_not_disturb_each_other(service, pipeline, stored):
    """Batches in threads and single scores in the loop run the same compiled code at the same time."""
    import asyncio

    import httpx

    users = list(stored)
    alone = {user: service.post("score", {"user_id": user}).json()["categories"] for user in users}

    async def everyone():
        transport = httpx.ASGITransport(service.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
            whole = {"items": [{"user_id": user} for user in users]}
            batches = [client.post(f"{ROUTE}/score/batch", json=whole) for _ in range(8)]
            singles = [client.post(f"{ROUTE}/score", json={"user_id": user}) for user in users * 3]
            return await asyncio.gather(*batches, *singles)

    (*answers,) = asyncio.run(everyone())
    for response in answers[:8]:
        assert [r["categories"] for r in response.json()["results"]] == [alone[user] for user in users]
    for user, response in zip(users * 3, answers[8:], strict=True):
        assert response.json()["categories"] == alone[user]
