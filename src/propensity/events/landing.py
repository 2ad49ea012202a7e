"""Landing rules: which days are due, which files they replace, and the ledger of what has landed.

Write, audit, publish: landing stages files and a manifest for each region; only the events gate commits them.
"""

import datetime as dt
import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from propensity.config import Config
from propensity.contracts import ACTIVITY, LANDED, day_number
from propensity.errors import DataError
from propensity.events.activity import Group, GroupKey, digest_of
from propensity.events.checks import Tally
from propensity.events.source import SourceFile, find_files, fingerprint
from propensity.features.windows import training_cutoffs
from propensity.storage import DataFile, Lake

BULK_DAYS = 8
"""So many days of one month landed together go into one compacted file."""


@dataclass(frozen=True)
class Landing:
    """What one landing has to do."""

    id: str
    days: tuple[dt.date, ...]
    files: tuple[SourceFile, ...]
    sources: Mapping[dt.date, str]
    """Fingerprint of the files each day is read from."""
    regions: tuple[str, ...]
    """The regions that land: all of them, but for one that lands again alone."""


def days_needed(config: Config, score_date: dt.date, purpose: str) -> list[dt.date]:
    """Return the days that a run needs landed: the window before its oldest cutoff up to the score date, exclusive."""
    oldest = training_cutoffs(config, score_date)[-1] if purpose == "training" else score_date
    days = config.tables.open_days(oldest - dt.timedelta(days=config.features.history_days), score_date)
    if not days:
        raise DataError(
            f"no events before {score_date}: they begin on {config.tables.first_day}", where="score date", do="choose a later day"
        )
    return days


def plan_landing(lake: Lake, days: Sequence[dt.date], force: bool = False, regions: Sequence[str] = ()) -> Landing | None:
    """Return what of these days is to land, or None when all has landed from the same files, in `regions` (empty: in all)."""
    config = lake.config
    files = find_files(config, days)
    sources = {day: fingerprint(files, day) for day in days}
    wanted = tuple(regions) or config.region_names
    done = landed(lake, wanted)
    due = tuple(day for day in days if force or any(done[r].get(day, ("", ""))[1] != sources[day] for r in wanted))
    if not due:
        return None
    text = json.dumps([config.digest("tables", "regions"), wanted, [(d.isoformat(), sources[d]) for d in due]])
    mine = tuple(f for f in files if f.day is None or f.day in due)
    return Landing(hashlib.sha256(text.encode()).hexdigest()[:16], due, mine, {d: sources[d] for d in due}, wanted)


def landed(lake: Lake, regions: Sequence[str]) -> dict[str, dict[dt.date, tuple[str, str]]]:
    """Return, for each region, day -> (digest of its activity, fingerprint of its source) for all that has landed."""
    found: dict[str, dict[dt.date, tuple[str, str]]] = {region: {} for region in regions}
    for file in lake.files(LANDED, region=regions):
        found[file.partition["region"]] |= _ledger(lake, file)
    return found


def _ledger(lake: Lake, file: DataFile) -> dict[dt.date, tuple[str, str]]:
    rows = lake.read(LANDED.name, file)
    days, digests, sources = (rows[name].to_pylist() for name in ("event_date", "digest", "source"))
    return dict(zip(days, zip(digests, sources, strict=True), strict=True))


# -- groups, manifest, commit ------------------------------------------------------------------------------------------


def groups_of(lake: Lake, landing: Landing) -> dict[GroupKey, Group]:
    """Return every (region, month, bucket) that the landing may write, empty ones included: old rows may have to go."""
    months: dict[str, list[dt.date]] = defaultdict(list)
    for day in landing.days:
        months[day.isoformat()[:7]].append(day)
    existing: dict[GroupKey, list[DataFile]] = defaultdict(list)
    for file in lake.files(ACTIVITY, region=landing.regions):
        existing[file.partition["region"], file.partition["period"][:7], int(file.partition["bucket"])].append(file)
    closed = {key[:2] for key, files in existing.items() for file in files if file.partition["period"] == key[1]}
    result = {}
    for region in landing.regions:
        for month, days in months.items():
            compacted = (region, month) in closed
            ends = (days[-1] + dt.timedelta(days=1)).month != days[-1].month
            compact = compacted or ends or len(days) >= BULK_DAYS
            for bucket in range(lake.config.tables.buckets):
                mine = tuple(existing.get((region, month, bucket), ()))
                result[region, month, bucket] = Group(region, month, bucket, mine, tuple(days), compact)
    return result


def manifest_path(config: Config, landing_id: str, region: str) -> Path:
    """Return where a landing's manifest of one region lies."""
    return config.home / "staging" / "landing" / landing_id / f"{region}.json"


def write_manifest(
    lake: Lake,
    landing: Landing,
    region: str,
    groups: Iterable[Group],
    written: Iterable[tuple[DataFile, dict[str, str]]],
    found: Tally,
) -> None:
    """Write a region's manifest: what the gate judges and what it commits on a pass."""
    mine, files = list(groups), list(written)
    numbers = {day_number(d): d for d in landing.days}
    digests: dict[str, list[str]] = {d.isoformat(): [] for d in landing.days}
    for _, days in files:
        for day, digest in days.items():
            digests[day].append(digest)
    replaced = {f.partition["period"] for g in mine if g.compact for f in g.existing}
    periods = replaced | {g.month for g in mine if g.compact} | {d.isoformat() for g in mine if not g.compact for d in g.days}
    content = {
        "landing": landing.id,
        "files": [asdict(f) for f, _ in files],
        "periods": sorted(periods),
        "base": sorted(f.path for g in mine for f in g.existing if f.partition["period"] in periods),
        "days": {
            d: {"digest": _combine(sorted(x)), "source": landing.sources[dt.date.fromisoformat(d)]} for d, x in digests.items()
        },
        "statistics": found.rows(region, numbers, numbers),
        "examples": found.examples_for(region),
    }
    path = manifest_path(lake.config, landing.id, region)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.with_suffix(".tmp").write_text(json.dumps(content, indent=1))
    path.with_suffix(".tmp").replace(path)


def _combine(digests: Sequence[str]) -> str:
    return hashlib.sha256("".join(digests).encode()).hexdigest()


def staged_sources(config: Config, landing_id: str, region: str) -> dict[dt.date, str]:
    """Return day -> fingerprint of the files that a staged landing was read from; raise DataError when there is none."""
    return {dt.date.fromisoformat(day): entry["source"] for day, entry in _manifest(config, landing_id, region)["days"].items()}


def _manifest(config: Config, landing_id: str, region: str) -> dict[str, Any]:
    path = manifest_path(config, landing_id, region)
    if not path.is_file():
        raise DataError("no such landing", where=str(path), do="run jobs/land.py first")
    content: dict[str, Any] = json.loads(path.read_text())
    return content


def commit_landing(lake: Lake, landing_id: str, region: str) -> bool:
    """Commit a region's staged landing: its activity, then the ledger.  Return False when it had been committed before.

    A process killed between the two leaves a ledger that does not know the days, so they land again, with the same files.
    Raise ConflictError when another landing changed the same periods since; DataError when nothing of that id was staged.
    """
    content = _manifest(lake.config, landing_id, region)
    files = [DataFile(**f) for f in content["files"]]
    metadata = {"landing": landing_id}
    where = {"region": region, "period": content["periods"]}
    changed = lake.commit(ACTIVITY, files, where, metadata, base=set(content["base"]))
    return _enter(lake, region, content["days"], metadata) or changed


def _enter(lake: Lake, region: str, days: Mapping[str, Mapping[str, str]], metadata: Mapping[str, str]) -> bool:
    files, rows = lake.files(LANDED, region=region), dict[dt.date, tuple[str, str]]()
    for file in files:
        rows |= _ledger(lake, file)
    rows |= {dt.date.fromisoformat(day): (entry["digest"], entry["source"]) for day, entry in days.items()}
    ordered = sorted(rows)
    schema = LANDED.file_schema(lake.user_type)
    table = pa.table([pa.array(ordered, pa.date32()), *(pa.array([rows[d][n] for d in ordered]) for n in (0, 1))], schema=schema)
    file = lake.write(LANDED, {"region": region}, digest_of(table)[:24], table, {})
    return lake.commit(LANDED, [file], {"region": region}, metadata, base={f.path for f in files})
