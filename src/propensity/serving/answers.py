"""What is answered.  These classes encode the bodies and, by msgspec, are the response schemas in the OpenAPI document.

Probabilities and logits are float32, written as the double that equals them exactly: read as a double or as a float32, the
number is the very one that was scored.
"""

from typing import Annotated, Literal, TypeAlias

from msgspec import UNSET, Meta, Struct, UnsetType

Source = Literal["prior", "profile", "model"]
Probability = Annotated[float, Meta(ge=0, le=1)]


class CategoryScore(Struct, gc=False):
    """One category of one customer."""

    id: int
    name: str
    probability: Probability


class Answer(Struct):
    """Yes or no, from a model of one category."""

    yes: bool
    probability: Probability
    threshold: Probability


KnownBy: TypeAlias = Annotated[
    Source,
    Meta(
        description="`prior`: the model knows nothing of the customer and gives the popularity; `profile`: it knows features, "
        "but no own history in any of its categories; `model`: both."
    ),
]
Date: TypeAlias = Annotated[str, Meta(description="Of the feature row; for user ids.")]
Dropped: TypeAlias = Annotated[int, Meta(description="Names and words that were dropped; for raw features.")]


class Result(Struct, omit_defaults=True, kw_only=True):
    """One customer's scores."""

    source: KnownBy
    score_date: Date | UnsetType = UNSET
    unknown_features: Dropped | UnsetType = UNSET
    categories: list[CategoryScore]
    answer: Answer | UnsetType = UNSET


class Served(Struct, omit_defaults=True, kw_only=True):
    """What made an answer."""

    region: str
    version: str
    digest: Annotated[str, Meta(description="sha256 of the bundle.")]


class ScoreResponse(Served, omit_defaults=True, kw_only=True):
    """One customer's scores and the model version that made them."""

    source: KnownBy
    score_date: Date | UnsetType = UNSET
    unknown_features: Dropped | UnsetType = UNSET
    categories: list[CategoryScore]
    answer: Answer | UnsetType = UNSET


class BatchResponse(Served, kw_only=True):
    """Several customers' scores, in the order of the request, by one model version."""

    results: list[Result]


class CategoryName(Struct):
    """A category."""

    id: int
    name: str


class FeatureValue(Struct):
    """A feature as the model takes it, after the pipeline's steps."""

    name: str
    value: float


class Contribution(Struct):
    """What taking one word out of a customer's features changes in the logit."""

    name: str
    word: str
    contribution: float
    features: list[FeatureValue]


class Published(Struct):
    """The same score in the scores table."""

    probability: Probability
    run_id: str


class ExplainResponse(Served, omit_defaults=True, kw_only=True):
    """A score and what it consists of: base + contributions + rest is the logit."""

    source: KnownBy
    score_date: Date | UnsetType = UNSET
    unknown_features: Dropped | UnsetType = UNSET
    category: CategoryName
    probability: Probability
    published: Published | UnsetType = UNSET
    equal: Annotated[bool, Meta(description="Whether the published probability has the same bits.")] | UnsetType = UNSET
    logit: float
    base: Annotated[float, Meta(description="The logit of a customer of whom nothing is known.")]
    contributions: Annotated[list[Contribution], Meta(description="The largest ones, largest first.")]
    rest: Annotated[float, Meta(description="The sum of all other contributions.")]
    words: Annotated[int, Meta(description="How many words the customer's features have.")]


class RegionStatus(Struct):
    """What the service has for one region."""

    region: str
    title: str
    serving: bool
    version: str | None
    digest: str | None
    categories: int | None
    loaded: Annotated[str | None, Meta(description="When this process loaded it, UTC.")]
    score_date: Annotated[str | None, Meta(description="The day that user ids are answered for.")]
    reason: Annotated[str | None, Meta(description="Why nothing, or not the newest champion, is served.")]


class Ready(Struct):
    """Whether any region is served."""

    ready: bool
    regions: list[RegionStatus]


class Health(Struct):
    """The process lives."""

    status: Literal["alive"]


class Error(Struct):
    """What is wrong, and what to do."""

    error: str
    do: str
