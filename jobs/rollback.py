"""Roll a region back, model and scores: an earlier champion is champion again and scores what the withdrawn one had published.

Cut off half-way, what was published stays, and the same command finishes.  Without --version it goes one champion back; where the
champion came from a rollback already, it only finishes that one.
"""

import argparse
import sys
from collections.abc import Mapping
from typing import Any

import drift
import gate
import publish
import score
from door import add_common, run_job
from propensity.config import parse_date
from propensity.delivery.database import database_url
from propensity.delivery.withdrawn import dates_by
from propensity.errors import DataError
from propensity.models.registry import Champion, crown, history, restorable, withdrawn
from propensity.models.versions import bundle_folder
from propensity.storage import Lake


def body(lake: Lake, arguments: argparse.Namespace) -> Mapping[str, Any]:
    """Restore the champion, then publish its scores date by date."""
    region, url = arguments.region, database_url(lake.config)
    only = parse_date(arguments.only).isoformat() if arguments.only else None
    champion, crowned = restore(lake, region, arguments.version, arguments.reason)
    versions = {entry.version for entry in withdrawn(history(lake, region))}
    days = dates_by(lake, url, region, versions)
    if only and only not in days:
        what = f"no scores of {', '.join(sorted(versions))} are published for {only}"
        raise DataError(what, where=f"region {region}", examples=days, do="name one of their days, or none for all")
    todo = [only] if only else days
    for number, day in enumerate(todo, 1):
        run_id = republish(lake, region, day, champion, arguments.force)
        print(f"{region}, {day}: published by {champion.version}, run {run_id} ({number} of {len(todo)})", flush=True)
    told = {"version": champion.version, "digest": champion.digest, "reason": champion.reason}
    return {"skipped": not crowned and not todo, **told, "withdrawn": sorted(versions), "score_dates": todo}


def restore(lake: Lake, region: str, version: str | None, why: str) -> tuple[Champion, bool]:
    """Return the champion after the rollback, and whether it was crowned now; its bundle is checked before."""
    past = history(lake, region)
    earlier = restorable(past, region, version)
    check(lake, region, earlier)
    if earlier == past[-1]:
        return earlier, False
    reason = f"rolled back from {past[-1].version}" + (f": {why}" if why else "")
    return crown(lake, region, past[-1], earlier.version, earlier.digest, earlier.score_date, reason), True


def check(lake: Lake, region: str, champion: Champion) -> None:
    """Raise BundleError unless the champion's bundle is intact and fits the configuration: nothing has changed so far."""
    from propensity.models.loading import load_pipeline
    from propensity.models.raw_features import check_channels

    folder = bundle_folder(lake.config, region, champion.version)
    check_channels(lake.config, load_pipeline(folder, champion.digest).vectoriser, str(folder))


def republish(lake: Lake, region: str, day: str, champion: Champion, force: bool) -> str:
    """Score a day by the champion and publish it, through the jobs of a daily run; return the run's id."""
    facts = {"region": region, "score_date": parse_date(day), "force": force, "verdict": None}
    model = {"version": champion.version, "digest": champion.digest}
    run_id = str(score.body(lake, argparse.Namespace(**facts, **model))["run_id"])
    drift.body(lake, argparse.Namespace(**facts, **model, run_id=run_id))
    gate.body(lake, argparse.Namespace(**facts, stage="scores", purpose="scoring", landing=None, run_id=run_id))
    publish.body(lake, argparse.Namespace(**facts, run_id=run_id))
    return run_id


def main() -> int:
    """Run the job."""
    result = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0], allow_abbrev=False)
    result.add_argument("--region", required=True, help="a region of the configuration")
    result.add_argument("--version", help="an earlier champion; the one before the present unless given")
    result.add_argument("--score-date", dest="only", help="YYYY-MM-DD: publish this day again only; all of them unless given")
    result.add_argument("--reason", default="", help="why, for the history of champions")
    add_common(result)
    return run_job(result, body)


if __name__ == "__main__":
    sys.exit(main())
