"""A champion as it is served: its pipeline, ready to score, and what its categories and features are called."""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from propensity.config import MAX_CHANNELS
from propensity.errors import BundleError
from propensity.features import tokens
from propensity.models.loading import load_pipeline
from propensity.models.raw_features import check_channels
from propensity.models.registry import Champion
from propensity.models.versions import bundle_folder
from propensity.pipeline.explain import FeatureNames
from propensity.pipeline.pipeline import Pipeline
from propensity.serving.errors import invalid
from propensity.serving.requests import Category
from propensity.storage import Lake


@dataclass(frozen=True)
class Model:
    """One version of one region's model.  Never changes: a request keeps the one it began with."""

    region: str
    version: str
    digest: str
    pipeline: Pipeline
    names: Sequence[str]
    """(C,) what categories are called, in the order of the pipeline's categories."""
    name_of: Mapping[int, str]
    columns: Mapping[Category, int]
    """Category, by id and by name -> column."""
    features: FeatureNames
    loaded: str
    """When this process loaded it."""

    def column(self, category: Category) -> int:
        """Return a category's column; raise RequestError when the model does not have it."""
        found = self.columns.get(category)
        if found is None:
            raise invalid(f"unknown category {category!r}", "name a category of this region's model, or give its id")
        return found


def load_model(lake: Lake, region: str, champion: Champion) -> Model:
    """Load and warm a champion's bundle; raise BundleError when it is not intact or not made for this configuration."""
    folder = bundle_folder(lake.config, region, champion.version)
    if not folder.is_dir():
        raise BundleError("no such bundle", where=str(folder), do="copy it here, or train again")
    pipeline = load_pipeline(folder, champion.digest)
    check_channels(lake.config, pipeline.vectoriser, str(folder))
    warm(pipeline)
    ids = pipeline.categories.tolist()
    known = tokens.names(tokens.load(lake), *lake.config.label_key)
    names = [known.get(category, str(category)) for category in ids]
    columns: dict[Category, int] = {name: at for at, name in enumerate(names)}
    columns.update((category, at) for at, category in enumerate(ids))
    now = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
    features = FeatureNames(pipeline.vectoriser)
    by_id = dict(zip(ids, names, strict=True))
    return Model(region, champion.version, champion.digest, pipeline, names, by_id, columns, features, now)


def warm(pipeline: Pipeline) -> None:
    """Score customers made of the first words there are, so that no one's request waits for the first call of anything."""
    some = list(pipeline.vectoriser.names.items())[:MAX_CHANNELS]
    words = {name: pipeline.vectoriser.blocks[where.block].words[:1] for name, where in some}
    record: dict[str, Any] = {name: dict.fromkeys(word, 1.0) for name, word in words.items()}
    for given in (record, {}):
        row, _ = pipeline.prepare_counting(given)
        pipeline.predictor.score(row, 1)
        pipeline.predictor.predict(row)
