"""Which score dates are published by a model that was withdrawn, in the lake or in the database."""

from collections.abc import Set

from propensity.contracts import SCORES
from propensity.delivery.database import connected, prepare
from propensity.storage import DataFile, Lake


def dates_by(lake: Lake, url: str, region: str, versions: Set[str]) -> list[str]:
    """Return a region's score dates, ascending, whose scores in the lake or in the database are of these versions.

    The two differ when publishing was cut off between them; both have to be republished then.
    """
    return sorted(_in_lake(lake, region, versions) | _in_database(lake, url, region, versions))


def _in_lake(lake: Lake, region: str, versions: Set[str]) -> set[str]:
    first: dict[str, DataFile] = {}
    for file in lake.files(SCORES, region=region):
        if file.rows:
            first.setdefault(file.partition["score_date"], file)  # one run, so one version, made all files of a date
    return {day for day, file in first.items() if _version(lake, file) in versions}


def _version(lake: Lake, file: DataFile) -> str:
    return str(lake.read(SCORES.name, file, ["model_version"])["model_version"][0].as_py())


def _in_database(lake: Lake, url: str, region: str, versions: Set[str]) -> set[str]:
    with connected(url) as connection:
        prepare(connection, lake.user_type, lake.config.region_names)
        rows = connection.execute(
            "SELECT score_date::text FROM publications WHERE region = %s AND model_version = ANY(%s)", [region, list(versions)]
        )
        return {str(day) for (day,) in rows}
