"""From a model, a row and a category to an explanation as it is answered."""

import math

import numpy as np
from msgspec import UNSET, UnsetType

from propensity.pipeline.explain import Explanation, Part, explain
from propensity.pipeline.top_k import sigmoid
from propensity.serving.answers import CategoryName, Contribution, ExplainResponse, FeatureValue, Published
from propensity.serving.errors import invalid
from propensity.serving.models import Model
from propensity.serving.rows import PublishedScores
from propensity.serving.scoring import TOO_LARGE, Row, source_name


def explained(model: Model, row: Row, column: int, n: int, most: int, published: PublishedScores | None) -> ExplainResponse:
    """Return a category's score of one customer, its `n` largest contributions, and whether the published one is the same."""
    predictor, batch = model.pipeline.predictor, row.batch
    groups = model.features.groups(batch.indices)
    with np.errstate(over="ignore", invalid="ignore"):
        found = explain(predictor, batch, column, groups, most)
    changes = [float(found.logit), float(found.base), *(part.contribution for part in found.parts)]
    if not all(map(math.isfinite, changes)):
        raise invalid(*TOO_LARGE)
    probability = np.float32(sigmoid(np.array([found.logit]))[0])
    named = sorted((part for part in found.parts if part.group is not None), key=lambda part: -abs(part.contribution))
    category = int(predictor.categories[column])
    theirs, equal = _compared(model, category, probability, published)
    return ExplainResponse(
        region=model.region,
        version=model.version,
        digest=model.digest,
        source=source_name(int(predictor.raw(batch).source[0])),
        category=CategoryName(category, model.names[column]),
        probability=float(probability),
        logit=float(found.logit),
        base=float(found.base),
        contributions=[_contribution(model, row, groups, part) for part in named[:n]],
        rest=_rest(found, named[:n]),
        words=len(np.unique(groups)),
        score_date=row.score_date,
        unknown_features=row.unknown,
        published=theirs,
        equal=equal,
    )


def _rest(found: Explanation, shown: list[Part]) -> float:
    chosen = {part.group for part in shown}
    return math.fsum(part.contribution for part in found.parts if part.group is None or part.group not in chosen)


def _contribution(model: Model, row: Row, groups: "np.typing.NDArray[np.int64]", part: Part) -> Contribution:
    group = -1 if part.group is None else part.group
    mine = groups == part.group
    name, word = model.features.word(group)
    values = zip(model.features.names(row.batch.indices[mine]), row.batch.values[mine].tolist(), strict=True)
    return Contribution(name, word, part.contribution, [FeatureValue(feature, value) for feature, value in values])


def _compared(
    model: Model, category: int, probability: np.float32, published: PublishedScores | None
) -> tuple[Published | UnsetType, bool | UnsetType]:
    """Return the published score of this category by this version, and whether it is the same float32."""
    if published is None or published.version != model.version or category not in published.probabilities:
        return UNSET, UNSET
    theirs = np.float32(published.probabilities[category])
    return Published(float(theirs), published.run_id), theirs.tobytes() == probability.tobytes()
