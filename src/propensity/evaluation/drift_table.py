"""The drift table: measure a run of scores from the footers of its files, and keep the rows, one partition a region and day."""

import datetime as dt
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from propensity.config import Expectation
from propensity.contracts import DRIFT, LANDED
from propensity.errors import DataError
from propensity.evaluation.drift import Day, Measure, measures
from propensity.models.distributions import added
from propensity.pipeline.bundle import load_bundle
from propensity.quality.staged import StagedScores
from propensity.quality.statistics import DISTRIBUTIONS
from propensity.storage import Lake

Bounds = tuple[float | None, float | None]


def measure_run(lake: Lake, staged: StagedScores, bundle: Path, digest: str) -> tuple[bool, bool]:
    """Commit a staged run's drift rows; return whether anything changed and whether the bundle has a reference.

    Raise DataError when the run's files were not counted, BundleError when the bundle is not the one of `digest`.
    """
    manifest = load_bundle(bundle, digest).manifest
    reference = manifest.get("reference")
    counted = [file.stats.get(DISTRIBUTIONS) for file in staged.files]
    if not counted or None in counted:
        where = f"run {staged.run_id}"
        raise DataError("files without distributions in their footer", where=where, do="run jobs/score.py again with --force")
    day = Day(staged.rows, _landed(lake, staged), dt.date.fromisoformat(staged.score_date), _day(manifest.get("score_date")))
    found = measures(day, added([counts for counts in counted if counts is not None]), reference)
    return _commit(lake, staged, drift_rows(lake, found, staged)), reference is not None


def drift_rows(lake: Lake, found: Sequence[Measure], staged: StagedScores) -> pa.Table:
    """Return the table's rows: the measures, and the bounds that the suite sets on them."""
    bounds = bounds_of(lake.config.quality.drift)
    rows = []
    for m in found:
        at_least, at_most = bounds.get(m.measure, (None, None))
        same: dict[str, Any] = {"run_id": staged.run_id, "model_version": staged.model_version}
        limits = {"at_least": at_least, "at_most": at_most}
        rows.append({"measure": m.measure, "group": m.group, "value": m.value, "reference": m.reference, **limits, **same})
    return pa.Table.from_pylist(rows, schema=DRIFT.file_schema(lake.user_type))


def bounds_of(suite: Sequence[Expectation]) -> Mapping[str, Bounds]:
    """Return the bounds that a suite sets on each measure: the narrowest, of expectations with `min_value` or `max_value`."""
    bounds: dict[str, Bounds] = {}
    for args in (expectation.args for expectation in suite if "column" in expectation.args):
        low, high = bounds.get(args["column"], (None, None))
        lows = [float(v) for v in (low, args.get("min_value")) if v is not None]
        highs = [float(v) for v in (high, args.get("max_value")) if v is not None]
        bounds[args["column"]] = (max(lows, default=None), min(highs, default=None))
    return bounds


def _landed(lake: Lake, staged: StagedScores) -> dt.date | None:
    days = lake.read_rows(LANDED, region=staged.region)["event_date"]
    before = days.filter(pc.less(days, pa.scalar(dt.date.fromisoformat(staged.score_date), pa.date32())))
    newest: dt.date | None = pc.max(before).as_py()
    return newest


def _day(text: object) -> dt.date | None:
    return dt.date.fromisoformat(text) if isinstance(text, str) else None


def _commit(lake: Lake, staged: StagedScores, rows: pa.Table) -> bool:
    name = hashlib.sha256(json.dumps(rows.to_pylist()).encode()).hexdigest()[:24]
    file = lake.stat(DRIFT, staged.partition, name) or lake.write(DRIFT, staged.partition, name, rows, {"rows": rows.num_rows})
    return lake.commit(DRIFT, [file], staged.partition, {"run_id": staged.run_id})
