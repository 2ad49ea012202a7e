"""Explanations online: what is published is replayed to the bit, for every customer."""

import math

import numpy as np
import pytest
from tests.support.online import NEWEST, add_version, crown, crowned_lake, online, pipeline_of, publish, record_of
from tests.support.trained import REGION, shared

from propensity.contracts import SCORES
from propensity.pipeline.top_k import sigmoid


@pytest.fixture(scope="module")
def lake(tmp_path_factory):
    return crowned_lake(tmp_path_factory.mktemp("explained"))


@pytest.fixture(scope="module")
def run_id(lake):
    return publish(lake, shared()[1].version, shared()[1].digest)


@pytest.fixture(scope="module")
def service(lake, run_id):
    return online(lake)


def explained(service, **body):
    response = service.post("explain", body)
    assert response.status_code == 200, response.text
    return response.json()


def replayed(told):
    """The probability that the answer's own numbers add up to."""
    logit = np.float32(math.fsum([told["base"], *(c["contribution"] for c in told["contributions"]), told["rest"]]))
    assert float(logit) == told["logit"]
    return np.float32(sigmoid(np.array([logit]))[0])


def test_every_published_score_is_replayed_to_the_bit(service, lake, run_id):
    rows = lake.read_rows(SCORES, region=REGION, score_date=NEWEST.isoformat()).to_pylist()
    assert len(rows) == 60
    for row in rows:
        for category, score in list(zip(row["categories"], row["scores"], strict=True))[:3]:
            told = explained(service, user_id=row["user_id"], category=category, n=3)
            assert told["equal"] is True
            assert told["published"] == {"probability": score, "run_id": run_id}
            assert told["probability"] == score
            assert replayed(told).tobytes() == np.float32(score).tobytes()
            assert len(told["contributions"]) == min(3, told["words"])


def test_contributions_name_words_and_show_values(service, lake):
    pipeline = pipeline_of(lake, shared()[1].version)
    record = record_of(pipeline, words=2)
    told = explained(service, features=record, category="coast special 0", n=100)
    assert told["category"]["name"] == "coast special 0"
    assert told["words"] == len(told["contributions"]) == 4
    assert told["rest"] == 0.0
    sizes = [abs(c["contribution"]) for c in told["contributions"]]
    assert sizes == sorted(sizes, reverse=True)
    row = pipeline.prepare_one(record)
    assert {(c["name"], c["word"]) for c in told["contributions"]} == {
        (key, word) for key, block in pipeline.vectoriser.blocks.items() for word in block.words[:2]
    }
    values = [f["value"] for c in told["contributions"] for f in c["features"]]
    assert sorted(values) == sorted(row.values.tolist())
    assert all(f["name"].startswith(c["name"]) for c in told["contributions"] for f in c["features"])
    assert replayed(told) == np.float32(told["probability"])
    assert "published" not in told
    assert "equal" not in told


def test_a_customer_of_whom_nothing_is_known_is_all_base(service):
    told = explained(service, features={"what": {"is": 1.0}}, category="coast special 0")
    assert (told["contributions"], told["rest"], told["base"]) == ([], 0.0, told["logit"])
    assert (told["source"], told["unknown_features"]) == ("prior", 1)


def test_what_another_version_published_is_not_compared(lake, run_id, tmp_path):
    crown(lake, "other", add_version(lake, "other", shift=0.5))
    try:
        service = online(lake)
        user = lake.read_rows(SCORES, region=REGION)["user_id"][0].as_py()
        told = explained(service, user_id=user, category="coast special 0")
        assert told["version"] == "other"
        assert "published" not in told
    finally:
        crown(lake, shared()[1].version, shared()[1].digest)


def test_a_customer_with_very_many_words_costs_bounded_work(tmp_path):
    lake = crowned_lake(tmp_path, explain_tokens=4)
    record = record_of(pipeline_of(lake, shared()[1].version), words=1000)
    told = explained(online(lake), features=record, category="coast special 0", n=1000)
    assert len(told["contributions"]) == 4
    assert told["words"] > 20
    assert told["rest"] != 0
    assert replayed(told) == np.float32(told["probability"])
