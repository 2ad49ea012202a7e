"""The online service over a copy of the small trained lake: a champion, other versions, published scores, a client."""

import asyncio
import datetime as dt
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from fastapi import FastAPI

from propensity.config import load_config
from propensity.contracts import SCORES
from propensity.engine import scoring, worker_model
from propensity.models import registry
from propensity.models.calibrated import SETTINGS, uncalibrated
from propensity.models.encoding import Encoder
from propensity.models.history import HistoryEncoder
from propensity.models.loading import load_pipeline
from propensity.models.propensity import PropensityPredictor
from propensity.pipeline.bundle import Golden, load_bundle, save_bundle
from propensity.pipeline.pipeline import Pipeline
from propensity.serving.app import create_app
from propensity.serving.regions import Regions
from propensity.storage import Lake
from tests.support.shop import FIRST
from tests.support.trained import REGION, shared

NEWEST = FIRST + dt.timedelta(days=170)
"""The newest date with feature rows in the small lake."""
ROUTE = f"/v1/{REGION}"


def copied_lake(folder: Path, **serving: Any) -> Lake:
    """Return a copy of the small trained lake that a test may write to; no region has a champion."""
    lake = shared()[0]
    home = Path(shutil.copytree(lake.config.home.parent, folder / "home"))
    config = load_config(lake.config.folder, home)
    settings = config.runtime.serving.model_copy(update=serving)
    return Lake(config.model_copy(update={"runtime": config.runtime.model_copy(update={"serving": settings})}))


def crown(lake: Lake, version: str, digest: str, region: str = REGION) -> None:
    """Make a version a region's champion."""
    registry.crown(lake, region, registry.champion(lake, region), version, digest, NEWEST, "by hand")


def crowned_lake(folder: Path, **serving: Any) -> Lake:
    """Return a copy whose one region has the trained version as its champion."""
    lake = copied_lake(folder, **serving)
    crown(lake, shared()[1].version, shared()[1].digest)
    return lake


def add_version(lake: Lake, version: str, shift: float = 0.0, categories: int | None = None) -> str:
    """Save another version: logits shifted, or with the first `categories` only; return its digest."""
    made = shared()[1]
    bundle, pipeline = load_bundle(made.folder), load_pipeline(made.folder)
    predictor = uncalibrated(pipeline.predictor)
    assert isinstance(predictor, PropensityPredictor)
    weights, history = dict(predictor.weights), predictor.encoder.history
    for name in ("output.bias", "prior"):
        weights[name] = weights[name] + np.float32(shift)
    for name in ("output.weight", "output.bias", "history_weight.weight", "history_category.weight", "prior"):
        weights[name] = np.ascontiguousarray(weights[name][:categories])
    own = HistoryEncoder(history.categories.ids[:categories], history.channels, history.slots, history.history_days)
    other = PropensityPredictor(Encoder(predictor.encoder.features, own), weights)
    golden = Golden(bundle.golden.batch, other.predict_batch(bundle.golden.batch))
    folder = lake.config.home / "models" / REGION / version
    manifest = {name: told for name, told in bundle.manifest.items() if name != SETTINGS}
    return save_bundle(folder, {**manifest, "version": version}, pipeline.steps, other, golden)


def publish(lake: Lake, version: str, digest: str) -> str:
    """Score every customer of the newest date with the engine's own functions and commit; return the run's id."""
    champion = worker_model.Champion(version, digest, lake.config.home / "models" / REGION / version)
    worker_model._models.clear()
    staged, _ = scoring.score_region(lake, REGION, NEWEST, champion, force=True)
    lake.commit(SCORES, list(staged.files), {"region": REGION, "score_date": NEWEST.isoformat()}, {})
    return staged.run_id


def pipeline_of(lake: Lake, version: str) -> Pipeline:
    """Return a version's pipeline."""
    return load_pipeline(lake.config.home / "models" / REGION / version)


def record_of(pipeline: Pipeline, words: int = 3, number: float = 2.0) -> dict[str, Any]:
    """Return a record that has the first words of every name."""
    places = pipeline.vectoriser.names.items()
    return {name: dict.fromkeys(pipeline.vectoriser.blocks[where.block].words[:words], number) for name, where in places}


@dataclass
class Online:
    """A service in this process and a way to ask it, through the whole ASGI application."""

    regions: Regions
    app: FastAPI

    def get(self, path: str) -> httpx.Response:
        """Ask."""
        return self.ask("GET", path)

    def post(self, path: str, body: Any = None, content: bytes | None = None) -> httpx.Response:
        """Ask of the region; the body as JSON or as it is."""
        return self.ask("POST", f"{ROUTE}/{path}", json=body, content=content)

    def ask(self, method: str, path: str, **more: Any) -> httpx.Response:
        """Ask."""

        async def asked() -> httpx.Response:
            async with httpx.AsyncClient(transport=httpx.ASGITransport(self.app), base_url="http://service") as client:
                return await client.request(method, path, **more)

        return asyncio.run(asked())


def online(lake: Lake) -> Online:
    """Return the service over a lake, refreshed once."""
    regions = Regions(lake)
    regions.refresh()
    return Online(regions, create_app(regions))
