"""The champion of each region, and who was champion before."""

import datetime as dt
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from propensity.contracts import CHAMPIONS
from propensity.errors import DataError, NotPromotedError
from propensity.storage import Lake


@dataclass(frozen=True)
class Champion:
    """One entry of a region's history."""

    sequence: int
    """1, 2, 3 …; the highest is the champion."""
    version: str
    digest: str
    score_date: dt.date
    """The day it was trained for."""
    reason: str


def history(lake: Lake, region: str) -> list[Champion]:
    """Return a region's champions, oldest first."""
    return _champions(lake.read_rows(CHAMPIONS, region=region))


def champion(lake: Lake, region: str) -> Champion | None:
    """Return a region's champion, or None before the first promotion."""
    found = history(lake, region)
    return found[-1] if found else None


def crown(
    lake: Lake, region: str, known: Champion | None, version: str, digest: str, score_date: dt.date, reason: str
) -> Champion:
    """Make a version the champion after `known`, the champion as the caller judged it.

    Raise ConflictError when another promotion came first: what was compared no longer holds.
    """
    files = lake.files(CHAMPIONS, region=region)
    past = _champions(lake.read_rows(CHAMPIONS, region=region))
    base = {f.path for f in files}
    if (past[-1] if past else None) != known:
        # The commit finds the same conflict; an impossible base makes it say so in its own words.
        base = {"the champion that was compared"}
    new = Champion((known.sequence if known else 0) + 1, version, digest, score_date, reason)
    rows = _table(lake, [*past, new])
    name = hashlib.sha256(json.dumps([[c.sequence, c.version, c.digest, c.reason] for c in [*past, new]]).encode()).hexdigest()
    file = lake.write(CHAMPIONS, {"region": region}, name[:24], rows, {"champions": rows.num_rows})
    lake.commit(CHAMPIONS, [file], {"region": region}, {"region": region, "version": version}, base=base)
    return new


def withdrawn(past: Sequence[Champion]) -> list[Champion]:
    """Return the champions that a rollback to the present one withdrew; none when the present one came by promotion.

    `past` is a region's history, oldest first: the withdrawn ones lie between the present champion and its earlier reign.
    """
    earlier = [i for i, entry in enumerate(past[:-1]) if entry.digest == past[-1].digest]
    return list(past[earlier[-1] + 1 : -1]) if earlier else []


def restorable(past: Sequence[Champion], region: str, version: str | None) -> Champion:
    """Return the champion to roll a region back to: `version`, or the one before the present.

    It is the present champion where a rollback to it has been made: there may be scores to publish still.
    Raise NotPromotedError without a champion, DataError when there is nothing to go back to.
    """
    where = f"region {region}"
    if not past:
        raise NotPromotedError("no model has been promoted", where=where, do="there is nothing to roll back")
    present = past[-1]
    if withdrawn(past) and version in (None, present.version):
        return present
    earlier = [entry for entry in past[:-1] if entry.version != present.version]
    found = [entry for entry in earlier if version in (None, entry.version)]
    if not found:
        names = list(dict.fromkeys(entry.version for entry in earlier))
        what = f"{version} was not champion before {present.version}" if version else f"no champion before {present.version}"
        raise DataError(what, where=where, examples=names, do="name an earlier champion" if names else "train a new version")
    return found[-1]


def _table(lake: Lake, entries: list[Champion]) -> pa.Table:
    schema = CHAMPIONS.file_schema(lake.user_type)
    return pa.Table.from_pylist([{n: getattr(e, n) for n in schema.names} for e in entries], schema=schema)


def _champions(rows: pa.Table) -> list[Champion]:
    return sorted((Champion(**row) for row in rows.to_pylist()), key=lambda c: c.sequence)
