"""From what the tasks counted to the little tables that the suites of ``conf/quality.yaml`` judge: rows, one a day or a file.

Every row has a `part`: the day or the file it is about.  A statistic of the whole date stands on each of its rows.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from propensity.contracts import DRIFT, DRIFT_MEASURES, FEATURES, LABELS, TableContract
from propensity.errors import MAX_EXAMPLES, DataError
from propensity.quality.statistics import DISTRIBUTIONS
from propensity.storage import DataFile, Lake

APART = {"examples", DISTRIBUTIONS}
"""What a footer has besides numbers of the little table."""

Row = dict[str, Any]
Examples = dict[str, list[str]]


def event_rows(manifest: Mapping[str, Any]) -> tuple[list[Row], Examples]:
    """Return a landing manifest's days as rows, with the shares that the suite limits."""
    rows = []
    for counted in manifest["statistics"]:
        events = max(int(counted["events"]), 1)
        row = {key: value for key, value in counted.items() if key not in {"region", "event_date"}}
        shares = {"duplicated_share": counted["duplicated"] / events, "missing_share": counted["missing_required"] / events}
        rows.append({"part": counted["event_date"], **row, **shares})
    return rows, {check: list(found) for check, found in manifest["examples"].items()}


def feature_rows(lake: Lake, region: str, dates: Iterable[str]) -> tuple[list[Row], Examples]:
    """Return the committed feature files of these dates as rows."""
    rows, examples = _file_rows(lake, FEATURES, region, dates)
    for row in rows:
        row["empty_share"] = row["empty_rows"] / max(row["users"], 1)
    return rows, examples


def label_rows(lake: Lake, region: str, dates: Sequence[str]) -> tuple[list[Row], Examples]:
    """Return the committed label files of these dates as rows, beside the number of customers with features."""
    rows, examples = _file_rows(lake, LABELS, region, dates)
    features = _users_by_date(lake.files(FEATURES, region=region))
    positives: dict[str, int] = defaultdict(int)
    for row in rows:
        positives[row["date"]] += row["positives"]
    for row in rows:
        row |= {"feature_users": features.get(row["date"], 0), "total_positives": positives[row["date"]]}
    return rows, examples


def score_rows(lake: Lake, files: Sequence[DataFile], region: str, date: str, run_id: str) -> tuple[list[Row], Examples]:
    """Return a run's staged score files as rows, beside what they should be: one row for each customer with features."""
    rows, examples = _rows_of(files)
    runs = {run for row in rows for run in row.pop("run_ids")}
    versions = {version for row in rows for version in row.pop("model_versions")}
    users = sum(row["users"] for row in rows)
    scored = users - sum(row["empty_rows"] for row in rows)
    whole = {
        "total_users": users,
        "feature_users": _users_by_date(lake.files(FEATURES, region=region)).get(date, 0),
        "prior_share": sum(row["priors"] for row in rows) / max(users, 1),
        # Files staged before there was such a source have no customer of it.
        "profile_share": sum(row.get("profiles", 0) for row in rows) / max(users, 1),
        "top_score": sum(row["sum_top_score"] for row in rows) / max(scored, 1),
        "run_ids": len(runs),
        "versions": len(versions),
        "other_run": len(runs - {run_id}),
    }
    return [row | whole for row in rows], examples


def drift_rows(lake: Lake, region: str, date: str, run_id: str) -> tuple[list[Row], Examples]:
    """Return the drift table's rows of a day, one a group with a column a measure; what a group does not have is None.

    The group of everything comes first.  There are none of a run that was not measured, or not last.
    """
    table = lake.read_rows(DRIFT, region=region, score_date=date)
    found = [entry for entry in table.to_pylist() if entry["run_id"] == run_id]
    rows: dict[str, Row] = {}
    for entry in sorted(found, key=lambda e: e["group"] != "all"):
        row = rows.setdefault(entry["group"], {"part": entry["group"], **dict.fromkeys(DRIFT_MEASURES)})
        row[entry["measure"]] = entry["value"]
    return list(rows.values()), {}


def _file_rows(lake: Lake, contract: TableContract, region: str, dates: Iterable[str]) -> tuple[list[Row], Examples]:
    wanted = set(dates)
    committed = [f for f in lake.files(contract, region=region) if f.partition["score_date"] in wanted]
    rows, examples = _rows_of([_with_footer(lake, contract, f) for f in committed])
    missing = sorted(wanted - {row["date"] for row in rows})
    if missing:
        raise DataError(
            "dates without a file", where=f"{contract.name}, {region}", count=len(missing), examples=missing,
            do=f"run jobs/{contract.name}.py for this region first",
        )  # fmt: skip
    users = _users_by_date(committed)
    for row in rows:
        row["total_users"] = users[row["date"]]
    return rows, examples


def _with_footer(lake: Lake, contract: TableContract, file: DataFile) -> DataFile:
    name = file.path.rsplit("/", 1)[-1].removesuffix(".parquet")
    found = lake.stat(contract, file.partition, name)
    if found is None:
        where = lake.path(contract.name, file.path)
        raise DataError("a committed file is gone", where=where, do="run this step again with --force")
    return found


def _rows_of(files: Sequence[DataFile]) -> tuple[list[Row], Examples]:
    rows: list[Row] = []
    examples: Examples = {}
    for file in files:
        if "users" not in file.stats:
            raise DataError("no statistics in the footer", where=file.path, do="run this step again with --force")
        date = file.partition["score_date"]
        part = f"{date} {file.path.rsplit('/', 1)[-1].removesuffix('.parquet')}"
        rows.append({"part": part, "date": date, **{k: v for k, v in file.stats.items() if k not in APART}})
        for check, found in file.stats.get("examples", {}).items():
            examples[check] = [*examples.get(check, []), *found][:MAX_EXAMPLES]
    return rows, examples


def _users_by_date(files: Iterable[DataFile]) -> dict[str, int]:
    users: dict[str, int] = defaultdict(int)
    for file in files:
        users[file.partition["score_date"]] += file.rows
    return users
