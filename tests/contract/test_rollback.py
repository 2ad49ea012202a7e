"""Rolling a region back: the earlier champion, its scores in both tables, and what is cut off half-way."""

import datetime as dt
from argparse import Namespace
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import drift
import gate
import publish
import rollback
import score
from propensity.contracts import SCORES
from propensity.engine import worker_model
from propensity.errors import BundleError, DataError, NotPromotedError
from propensity.models import registry
from propensity.storage import Lake
from tests.support.online import NEWEST, add_version, copied_lake, crown
from tests.support.scores import rows_in
from tests.support.trained import REGION, shared

DAYS = (NEWEST - dt.timedelta(days=10), NEWEST)


@dataclass
class Region:
    """A region with two champions after one another, and days published by each of them."""

    lake: Lake
    address: str
    first: str

    def publish(self, day: dt.date) -> str:
        """Publish a day by the champion, as a daily run does."""
        champion = registry.champion(self.lake, REGION)
        assert champion is not None
        return rollback.republish(self.lake, REGION, day.isoformat(), champion, force=False)

    def roll_back(self, **more: Any) -> Any:
        """Run the job's body."""
        facts = {"region": REGION, "version": None, "only": None, "reason": "", "force": False, "verdict": None}
        return rollback.body(self.lake, Namespace(**{**facts, **more}))

    def published(self) -> dict[str, tuple[str, str]]:
        """Return each day's version in the lake and in the database."""
        rows = rows_in(self.address, "SELECT score_date::text, min(model_version), max(model_version) FROM scores GROUP BY 1")
        assert all(low == high for _, low, high in rows)
        found = {}
        for day, version, _ in rows:
            (in_lake,) = set(self.lake.read_rows(SCORES, region=REGION, score_date=day)["model_version"].to_pylist())
            found[day] = (in_lake, version)
        return found


@pytest.fixture
def region(tmp_path: Path, database_address: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Region]:
    monkeypatch.setenv("PROPENSITY_DATABASE_URL", database_address)
    lake, made = copied_lake(tmp_path), shared()[1]
    crown(lake, made.version, made.digest)
    result = Region(lake, database_address, made.version)
    yield result
    worker_model._models.clear()


def withdrawn_champion(region: Region) -> None:
    """Publish one day by the first champion, crown a second, publish the other day by it."""
    region.publish(DAYS[0])
    crown(region.lake, "second", add_version(region.lake, "second", shift=0.1))
    region.publish(DAYS[1])
    assert region.published() == {DAYS[0].isoformat(): (region.first,) * 2, DAYS[1].isoformat(): ("second",) * 2}


def test_model_and_scores_go_back_and_other_days_stay(region: Region) -> None:
    withdrawn_champion(region)
    before = rows_in(region.address, "SELECT * FROM scores WHERE score_date = %s ORDER BY user_id", DAYS[0])
    told = region.roll_back(reason="it scored too high")
    assert (told["version"], told["withdrawn"], told["score_dates"]) == (region.first, ["second"], [DAYS[1].isoformat()])
    assert region.published() == {day.isoformat(): (region.first,) * 2 for day in DAYS}
    assert rows_in(region.address, "SELECT * FROM scores WHERE score_date = %s ORDER BY user_id", DAYS[0]) == before
    past = registry.history(region.lake, REGION)
    assert [entry.version for entry in past] == [region.first, "second", region.first]
    assert past[-1].reason == "rolled back from second: it scored too high"
    assert (past[-1].digest, past[-1].score_date) == (past[0].digest, past[0].score_date)
    again = region.roll_back()
    assert again["skipped"], "the same command again goes no further back"
    assert len(registry.history(region.lake, REGION)) == 3


@pytest.mark.parametrize("where", ["score", "drift", "gate", "publish"])
def test_cut_off_half_way_the_same_command_finishes(region: Region, where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    withdrawn_champion(region)
    job = {"score": score, "drift": drift, "gate": gate, "publish": publish}[where]
    with monkeypatch.context() as cut:
        cut.setattr(job, "body", killed)
        with pytest.raises(KeyboardInterrupt):
            region.roll_back()
    assert region.published()[DAYS[1].isoformat()] == ("second", "second"), "what was published stays"
    assert region.roll_back()["score_dates"] == [DAYS[1].isoformat()]
    assert region.published() == {day.isoformat(): (region.first,) * 2 for day in DAYS}


def test_cut_off_between_the_lake_and_the_database_the_same_command_finishes(
    region: Region, monkeypatch: pytest.MonkeyPatch
) -> None:
    withdrawn_champion(region)
    with monkeypatch.context() as cut:
        cut.setattr(publish, "map_cheaply", killed)
        with pytest.raises(KeyboardInterrupt):
            region.roll_back()
    assert region.published()[DAYS[1].isoformat()] == (region.first, "second")
    assert region.roll_back()["score_dates"] == [DAYS[1].isoformat()]
    assert region.published()[DAYS[1].isoformat()] == (region.first, region.first)


def killed(*_: Any) -> Any:
    raise KeyboardInterrupt


def test_there_must_be_something_to_go_back_to(region: Region) -> None:
    with pytest.raises(DataError, match="no champion before"):
        region.roll_back()
    crown(region.lake, "second", add_version(region.lake, "second"))
    with pytest.raises(DataError, match="third was not champion before second"):
        region.roll_back(version="third")
    with pytest.raises(NotPromotedError, match="no model has been promoted"):
        region.roll_back(region="alps")
    assert [entry.version for entry in registry.history(region.lake, REGION)] == [region.first, "second"]


def test_one_day_alone_and_a_day_that_is_not_theirs(region: Region) -> None:
    withdrawn_champion(region)
    with pytest.raises(DataError, match="no scores of second are published"):
        region.roll_back(only=DAYS[0].isoformat())
    assert region.roll_back(only=DAYS[1].isoformat())["score_dates"] == [DAYS[1].isoformat()]


def test_a_damaged_bundle_changes_nothing(region: Region) -> None:
    withdrawn_champion(region)
    weights = region.lake.config.home / "models" / REGION / region.first / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    with pytest.raises(BundleError):
        region.roll_back()
    assert [entry.version for entry in registry.history(region.lake, REGION)] == [region.first, "second"]


def test_two_steps_back_withdraw_every_champion_since(region: Region) -> None:
    withdrawn_champion(region)
    crown(region.lake, "third", add_version(region.lake, "third", shift=0.2))
    region.publish(DAYS[0])
    told = region.roll_back(version=region.first)
    assert (told["withdrawn"], told["score_dates"]) == (["second", "third"], [day.isoformat() for day in DAYS])
    assert region.published() == {day.isoformat(): (region.first,) * 2 for day in DAYS}
