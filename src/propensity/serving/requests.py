"""What may be asked.  These classes decode the bodies and, by msgspec, are the request schemas in the OpenAPI document."""

from typing import Annotated, TypeAlias

from msgspec import UNSET, Meta, Struct, UnsetType

Value: TypeAlias = float | str | list[str] | dict[str, float]
"""A raw feature."""

UserId: TypeAlias = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)] | str
Category: TypeAlias = int | str

_FEATURES = (
    "Raw features by name: a number, a string, a list of strings, or a map from string to number, all finite. "
    "Names and words that the model does not know are dropped and counted."
)
_USER = "A customer with a feature row; the newest committed one counts."

Features: TypeAlias = Annotated[dict[str, Value], Meta(description=_FEATURES)]
User: TypeAlias = Annotated[UserId, Meta(description=_USER)]
Threshold: TypeAlias = Annotated[float, Meta(ge=0, le=1, description="Yes from this probability on; 0.5 unless given.")]
DEFAULT_TOP_K, DEFAULT_N = 10, 10
DEFAULT_THRESHOLD = 0.5


class Item(Struct, forbid_unknown_fields=True, kw_only=True):
    """One customer: either `features` or `user_id`."""

    features: Features | UnsetType = UNSET
    user_id: User | UnsetType = UNSET


class Options(Struct, forbid_unknown_fields=True, kw_only=True):
    """What to return: the likeliest categories, or named ones, or the answer of a model that has one category."""

    top_k: Annotated[int, Meta(ge=1, description="How many of the likeliest categories; 10 unless given.")] | UnsetType = UNSET
    categories: (
        Annotated[list[Category], Meta(min_length=1, description="These categories, by name or id, each once, in this order.")]
        | UnsetType
    ) = UNSET
    answer: Annotated[bool, Meta(description="Also say yes or no; only for a model of one category.")] = False
    threshold: Annotated[float, Meta(ge=0, le=1, description="Yes from this probability on; 0.5 unless given.")] | UnsetType = (
        UNSET
    )


class ScoreRequest(Options, forbid_unknown_fields=True, kw_only=True):
    """One customer, by raw features or by user id, and what to return."""

    features: Features | UnsetType = UNSET
    user_id: User | UnsetType = UNSET


Customer: TypeAlias = Item | ScoreRequest


class BatchRequest(Options, forbid_unknown_fields=True, kw_only=True):
    """Several customers and what to return of each."""

    items: Annotated[list[Item], Meta(min_length=1, description="Customers, answered in this order by one model version.")]


class ExplainRequest(Item, forbid_unknown_fields=True, kw_only=True):
    """One customer and the category whose score is to be explained."""

    category: Annotated[Category, Meta(description="A category by name or id.")]
    n: Annotated[int, Meta(ge=1, description="How many of the largest contributions.")] = DEFAULT_N
