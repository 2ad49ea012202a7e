"""What a training run tells the rest of the installation: one event for all new champions."""

from collections.abc import Iterable, Mapping
from typing import Any

from airflow.sdk.exceptions import AirflowSkipException

from propensity_airflow.defaults import CHAMPION


def new_champions(outcomes: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the regions whose challenger took the champion's place just now (and not in an earlier run)."""
    return [str(o["region"]) for o in outcomes if o.get("promoted") and not o.get("skipped")]


def announce_champions(outcomes: Iterable[Mapping[str, Any]] | None, context: Mapping[str, Any]) -> list[str]:
    """Put the new champions into the event of the asset; skip, so that there is no event, when there are none.

    `outcomes` are the verdicts of the regions that came as far as promotion.
    """
    known = list(outcomes or ())
    regions = new_champions(known)
    if not regions:
        raise AirflowSkipException("no region has a new champion")
    context["outlet_events"][CHAMPION].extra.update({"regions": regions, "score_date": str(known[0]["score_date"])})
    return regions
