"""Which model and which feature rows each region is served from, looked up again and again while requests go on.

A region's state is one object that never changes; a newer one takes its place by one assignment.  Whoever began with the old one
ends with it.
"""

import logging
import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace

from propensity.contracts import CHAMPIONS, FEATURES, SCORES, TableContract
from propensity.models import registry
from propensity.models.registry import Champion
from propensity.serving.answers import RegionStatus
from propensity.serving.errors import RequestError, told
from propensity.serving.metrics import Metrics
from propensity.serving.models import Model, load_model
from propensity.serving.rows import BucketCache, Day, by_bucket
from propensity.storage import DataFile, Lake

log = logging.getLogger("propensity.serving")

NO_CHAMPION = "no model has been promoted for this region"
WAIT = "train and promote a model, or wait for the next refresh"
STOP_SECONDS = 30.0
NOT_LOOKED = "the service is starting"


@dataclass(frozen=True)
class Served:
    """What one region is served from; requests take it once, at their beginning."""

    model: Model | None = None
    day: Day | None = None
    reason: str | None = NOT_LOOKED
    """Why there is no model, or why it is not the newest champion."""


class Listing:
    """A table's committed files, listed again only when somebody has committed."""

    def __init__(self, lake: Lake, contract: TableContract) -> None:
        self._lake, self._contract = lake, contract
        self._version: int | None = -1
        self._files: Sequence[DataFile] = ()

    def files(self) -> Sequence[DataFile]:
        """Return the files as they are committed now."""
        version = self._lake.version(self._contract)
        if version != self._version:
            self._files = self._lake.files(self._contract)
            self._version = version
        return self._files


class Regions:
    """All regions of a configuration."""

    def __init__(self, lake: Lake, metrics: Metrics | None = None) -> None:
        self.lake = lake
        self.metrics = metrics or Metrics()
        self.cache = BucketCache(lake.config.runtime.serving.feature_cache_mib * 2**20)
        self._served = {region: Served() for region in lake.config.region_names}
        self._champions: dict[str, Champion | None] = {}
        self._crowned: int | None = -1
        self._features, self._scores = Listing(lake, FEATURES), Listing(lake, SCORES)
        self._refreshing = threading.Lock()

    def served(self, region: str) -> Served:
        """Return what a region is served from; raise RequestError for a region that is not configured."""
        found = self._served.get(region)
        if found is None:
            raise RequestError(404, f"unknown region {region!r}", f"choose from {', '.join(self._served)}")
        return found

    def model(self, region: str) -> tuple[Model, Served]:
        """Return a region's model; raise RequestError when there is none."""
        served = self.served(region)
        if served.model is None:
            raise RequestError(503, f"region {region}: {served.reason}", WAIT)
        return served.model, served

    def refresh(self) -> None:
        """Look for new champions and feature rows, load, warm and swap; what fails is logged and tried again the next time."""
        with self._refreshing:
            try:
                self._look()
            except Exception as error:  # noqa: BLE001  whatever the lake does, what is served stays, and the next look comes
                self.metrics.failed_refreshes.inc()
                log.error("refresh failed, what is served stays: %s", told(error))
                self._starting_failed(told(error))

    def _starting_failed(self, reason: str) -> None:
        for region, served in self._served.items():
            if served.model is None:
                self._served[region] = replace(served, reason=f"the lake cannot be read: {reason}")

    def _look(self) -> None:
        version = self.lake.version(CHAMPIONS)
        if version != self._crowned:
            self._champions = {region: registry.champion(self.lake, region) for region in self._served}
            self._crowned = version
        days = self._days()
        for region, champion in self._champions.items():
            served = replace(self._served[region], day=days.get(region))
            self._served[region] = self._with_champion(region, served, champion)

    def _with_champion(self, region: str, served: Served, champion: Champion | None) -> Served:
        """Return the state with the champion's model, or with the old one and the reason."""
        if champion is None:
            return replace(served, reason=NO_CHAMPION)
        model = served.model
        if model is not None and (model.version, model.digest) == (champion.version, champion.digest):
            return replace(served, reason=None)
        try:
            model = load_model(self.lake, region, champion)
        except Exception as error:  # noqa: BLE001  whatever is wrong with a bundle, the old model goes on
            self.metrics.failed_loads.labels(region).inc()
            reason = f"champion {champion.version} does not load: {told(error)}"
            if reason != served.reason:
                log.error("region %s: %s", region, reason)
            return replace(served, reason=reason)
        self.metrics.serving(region, model.version, model.digest)
        log.info("region %s: version %s with %d categories", region, model.version, len(model.names))
        return replace(served, model=model, reason=None)

    def _days(self) -> dict[str, Day]:
        """Return each region's newest score date with feature rows."""
        newest: dict[str, str] = {}
        features, scores = self._features.files(), self._scores.files()
        for file in features:
            region, date = file.partition["region"], file.partition["score_date"]
            newest[region] = max(date, newest.get(region, date))
        return {region: Day(date, _of(features, region, date), _of(scores, region, date)) for region, date in newest.items()}

    def status(self) -> list[RegionStatus]:
        """Return what is served, region by region."""
        titles = self.lake.config.regions.regions
        return [_status(region, titles[region].title, served) for region, served in self._served.items()]


def _of(files: Sequence[DataFile], region: str, date: str) -> dict[int, DataFile]:
    return by_bucket([f for f in files if (f.partition["region"], f.partition["score_date"]) == (region, date)])


def _status(region: str, title: str, served: Served) -> RegionStatus:
    model, day = served.model, served.day
    return RegionStatus(
        region=region,
        title=title,
        serving=model is not None,
        version=model.version if model else None,
        digest=model.digest if model else None,
        categories=len(model.names) if model else None,
        loaded=model.loaded if model else None,
        score_date=day.score_date if day else None,
        reason=served.reason,
    )


class Refresher:
    """The thread that refreshes every so many seconds, from its start to its stop."""

    def __init__(self, regions: Regions, seconds: float) -> None:
        self._regions, self._seconds = regions, seconds
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="refresh", daemon=True)

    def start(self) -> None:
        """Begin; the first look comes at once."""
        self._thread.start()

    def stop(self) -> None:
        """End, and wait for the look that is under way: a process must not end inside the storage library's own threads."""
        self._ended.set()
        self._thread.join(STOP_SECONDS)

    def _run(self) -> None:
        self._regions.refresh()
        while not self._ended.wait(self._seconds):
            self._regions.refresh()
