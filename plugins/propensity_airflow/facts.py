"""The facts of a run: which day, which regions, checked before anything starts."""

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any

from airflow.sdk import Asset, Param
from airflow.sdk.exceptions import AirflowFailException

from propensity.config import Config, check_regions, load_config, parse_date
from propensity.errors import ConfigError, PropensityError


def form(config: Config, *, device: bool = False) -> dict[str, Param]:
    """Return the parameters of a run, as the trigger form shows them and as JSON schema checks them."""
    names = list(config.region_names)
    titles = {name: f"{name}: {region.title}" if region.title else name for name, region in config.regions.regions.items()}
    fields = {
        "regions": Param(
            names,
            title="Regions",
            description="Regions to run for.",
            type="array",
            items={"type": "string", "enum": names},
            minItems=1,
            uniqueItems=True,
            examples=names,  # the form offers these
            values_display=titles,
        ),
        "score_date": Param(
            None,
            title="Score date",
            description="The day to score for (UTC): events before it count. Empty: the day of the run's logical date.",
            type=["null", "string"],
            format="date",
        ),
    }
    if device:
        fields["device"] = Param(
            "auto",
            title="Training device",
            description="cuda is an error where there is none; auto takes it where there is one.",
            type="string",
            enum=["auto", "cpu", "cuda"],
        )
    fields["force"] = Param(False, title="Force", description="Compute again what is already there.", type="boolean")
    return fields


def resolve(
    config: Config,
    params: Mapping[str, Any],
    logical_date: dt.datetime | None,
    events: Sequence[Mapping[str, Any]] = (),
) -> tuple[dt.date, tuple[str, ...]]:
    """Return the score date and the regions of a run.

    The date is the parameter; else, of a run that asset events started, the newest of theirs; else the logical date's day.
    The regions of a run that asset events started are those of all of them: Airflow gives one run whatever was announced since
    the last one, in any order.  Raise ConfigError when there is no date, an impossible one or an unknown region.
    """
    regions = check_regions(config, tuple(params.get("regions") or ()))
    announced = {str(region) for event in events for region in event.get("regions") or ()}
    if announced:
        regions = check_regions(config, tuple(sorted(announced)))
    dates = [str(event["score_date"]) for event in events if event.get("score_date")]
    text = params.get("score_date") or max(dates, default=None)
    if text:
        return parse_date(str(text)), regions
    if logical_date is None:
        do = "trigger it again with a score_date such as 2018-01-01"
        raise ConfigError("this run has neither a score date nor a logical date", do=do)
    return logical_date.date(), regions


def plan(context: Mapping[str, Any], wakes: Asset | None = None) -> list[str]:
    """Return the regions to run for; leave score_date, force and device in XCom.

    `wakes` is the asset whose events may have started the run.  Raise AirflowFailException, in one line, for facts that do
    not hold.
    """
    params = context["params"]
    try:
        score_date, regions = resolve(
            load_config(), params, context.get("logical_date"), _extras(context.get("triggering_asset_events"), wakes)
        )
    except PropensityError as error:
        raise AirflowFailException(str(error)) from None
    facts = {"score_date": score_date.isoformat(), "force": params["force"], "device": params.get("device")}
    for key, value in facts.items():
        context["ti"].xcom_push(key, value)
    return list(regions)


def _extras(events: Any, asset: Asset | None) -> list[dict[str, Any]]:
    if not events or asset is None or asset not in events:
        return []
    return [dict(event.extra) for event in events[asset]]
