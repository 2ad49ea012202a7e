"""What every task of the project has in common: owner, retries, timeouts, pools, assets."""

from datetime import timedelta
from typing import Any

from airflow.sdk import Asset

OWNER = "propensity"

TASK_DEFAULTS: dict[str, Any] = {
    "owner": OWNER,
    # Two, because what a retry mends (another writer was first, a worker was lost) is mended by the second try or not at all.
    # A refusal (wrong input, a gate) is never retried: see JobOperator.
    "retries": 2,
    "retry_delay": timedelta(seconds=20),
    "retry_exponential_backoff": True,
    "max_retry_delay": timedelta(minutes=10),
    "execution_timeout": timedelta(hours=2),
}

RUN_TIMEOUT = timedelta(hours=24)


# Pools, made from pools.json (``airflow pools import``): how many tasks of a kind may run at once on an installation.
LANDING = "landing"
SPARK = "spark"
GPU = "gpu"

ACTIVITY = Asset(name="propensity_activity", uri="propensity://activity", group="propensity")
"""Days of events that passed their gate and were committed; each event carries region, score date, verdict."""

CHAMPION = Asset(name="propensity_champion", uri="propensity://champion", group="propensity")
"""A new champion in at least one region; the event carries the score date and the regions."""

SCORES = Asset(name="propensity_scores", uri="propensity://scores", group="propensity")
"""Published scores of one region and day; the event carries region, score date, run id, model version, rows."""
