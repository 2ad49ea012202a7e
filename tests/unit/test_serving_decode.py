"""A key that stands twice is found however the body is written, and nothing else is taken for one."""

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from propensity.serving.decode import decode
from propensity.serving.errors import RequestError
from propensity.serving.requests import BatchRequest, ScoreRequest

SCORE, BATCH = msgspec.json.Decoder(ScoreRequest), msgspec.json.Decoder(BatchRequest)
blank = st.sampled_from(["", "", "", " ", "\n", "\t ", "\r"])
# Names that look like what ends a key, so that counting alone would be fooled.
names = st.sampled_from(["a", "b", 'a":', '":"', "\\", 'x\\":', " :", ": ", "ä", "\u2028"])
numbers = st.sampled_from(["1", "2.5", "-3e2"])


@st.composite
def objects(draw, values):
    """An object as text, keys repeated at will, blanks anywhere, and the keys of every object in it."""
    parts, keys, inner = [], [], []
    for _ in range(draw(st.integers(0, 4))):
        key, value = draw(names), draw(values)
        text, deeper = value if isinstance(value, tuple) else (value, [])
        written = json.dumps(key, ensure_ascii=draw(st.booleans()))
        parts.append(f"{draw(blank)}{written}{draw(blank)}:{draw(blank)}{text}{draw(blank)}")
        keys.append(key)
        inner += deeper
    return "{" + ",".join(parts) + "}", [keys, *inner]


words = names.map(lambda name: (json.dumps(name), []))
lists = st.lists(names, max_size=2).map(lambda many: (json.dumps(many), []))
features = objects(st.one_of(numbers, words, lists, objects(numbers)))


def refused(decoder, text):
    try:
        decode(decoder, text.encode())
    except RequestError as error:
        return (error.status, "stands twice" in error.error) == (422, True)
    return False


@given(record=features, more=st.sampled_from(["", ',"top_k":3', ',"answer" :false', ',"answer":true', ',"top_k":1,"top_k":1']))
def test_a_key_twice_is_refused_and_nothing_else(record, more):
    text, keys = record
    twice = any(len(set(mine)) != len(mine) for mine in keys) or more.count("top_k") == 2
    assert refused(SCORE, f'{{"features":{text}{more}}}') == twice


@given(records=st.lists(features, min_size=1, max_size=3), user=st.booleans())
def test_a_key_twice_anywhere_in_a_batch_is_refused(records, user):
    items = [f'{{"features": {text}}}' for text, _ in records] + (['{"user_id":"u\\":"}'] if user else [])
    twice = any(len(set(mine)) != len(mine) for _, keys in records for mine in keys)
    assert refused(BATCH, f'{{"items":[{",".join(items)}],"top_k":2}}') == twice


def test_the_usual_body_is_looked_at_once(monkeypatch):
    monkeypatch.setattr(json, "loads", lambda *_, **__: pytest.fail("the slow look is for bodies that may have a key twice"))
    body = json.dumps({"features": {"a.b.c": {"x": 1, "y": 2}, "d": ["x", "y"], "e": 1.5}, "top_k": 5})
    assert decode(SCORE, body.encode()).top_k == 5
