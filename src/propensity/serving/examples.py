"""What the document shows of requests and answers; the numbers fit each other, the customers are made up."""

from collections.abc import Mapping
from typing import Any

_MODEL = {"region": "north", "version": "20180101-be3232d7b0", "digest": "3e7480ea193f…"}
_CHEESE = {"id": 50, "name": "CHEESE", "probability": 0.625}
_STORED = {"source": "model", "score_date": "2018-01-01", "categories": [_CHEESE]}
_GIVEN = {"source": "model", "unknown_features": 0, "categories": [_CHEESE]}
_FEATURES = {
    "purchase.category.count_28": {"CHEESE": 3, "FLUID MILK PRODUCTS": 5},
    "purchase.category.recency": {"CHEESE": 4, "FLUID MILK PRODUCTS": 2},
}
_STATUS = {
    **_MODEL,
    "title": "Northern stores",
    "serving": True,
    "categories": 298,
    "loaded": "2018-01-01T02:10:00+00:00",
    "score_date": "2018-01-01",
    "reason": None,
}
_NO_CHAMPION = "no model has been promoted for this region"
_NOBODY = {**dict.fromkeys(_STATUS), "region": "south", "title": "Southern stores", "serving": False, "reason": _NO_CHAMPION}

ASKED: Mapping[str, Mapping[str, Any]] = {
    "score": {
        "raw features": {"features": _FEATURES, "top_k": 1},
        "a user id": {"user_id": 900, "top_k": 5},
        "named categories": {"user_id": 900, "categories": ["CHEESE", 122]},
        "yes or no": {"features": _FEATURES, "answer": True, "threshold": 0.3},
    },
    "batch": {"a record and a user id": {"items": [{"features": _FEATURES}, {"user_id": 900}], "top_k": 1}},
    "explain": {
        "a user id": {"user_id": 900, "category": "CHEESE"},
        "raw features": {"features": _FEATURES, "category": "CHEESE", "n": 3},
    },
}

ANSWERED: Mapping[str, Any] = {
    "score": {**_MODEL, **_GIVEN},
    "batch": {**_MODEL, "results": [_GIVEN, _STORED]},
    "explain": {
        **_MODEL,
        "source": "model",
        "score_date": "2018-01-01",
        "category": {"id": 50, "name": "CHEESE"},
        "probability": 0.625,
        "published": {"probability": 0.625, "run_id": "5b0c3f1d"},
        "equal": True,
        "logit": 0.5108256340026855,
        "base": -1.25,
        "contributions": [
            {
                "name": "purchase.category",
                "word": "CHEESE",
                "contribution": 1.5,
                "features": [{"name": "purchase.category.count_28", "value": 1.3862943649291992}],
            }
        ],
        "rest": 0.26082563400268555,
        "words": 41,
    },
    "status": [_STATUS, _NOBODY],
    "ready": {"ready": True, "regions": [_STATUS, _NOBODY]},
    "health": {"status": "alive"},
    "metrics": 'propensity_model_info{digest="3e7480ea193f…",region="north",version="20180101-be3232d7b0"} 1.0',
}

NOT_READY = {"ready": False, "regions": [_NOBODY]}

REFUSED: Mapping[int, tuple[str, str, str]] = {
    400: (
        "Not JSON",
        "the body is not JSON: JSON is malformed: invalid character (byte 17)",
        "send a JSON object, UTF-8, without NaN or Infinity",
    ),
    404: (
        "No such region or customer",
        "no feature row of 2018-01-01 for user 7 in north",
        "give the features, or another id",
    ),
    413: (
        "The body is too large",
        "the body is larger than 1,048,576 bytes",
        "ask for fewer customers at once, or raise serving.max_body_bytes",
    ),
    422: (
        "JSON, but no such request",
        "unknown category 'CHEEES'",
        "name a category of this region's model, or give its id",
    ),
    503: (
        "The region is not served just now",
        f"region south: {_NO_CHAMPION}",
        "train and promote a model, or wait for the next refresh",
    ),
}
"""Status -> what it is, an example's error, what to do."""
