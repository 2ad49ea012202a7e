"""Scores between their making and their publishing: the manifest of a run's staged files, unseen until the gate opens."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from propensity.config import Config
from propensity.errors import DataError
from propensity.quality.files import write_atomically
from propensity.storage import DataFile


@dataclass(frozen=True)
class StagedScores:
    """One run's score files of one (region, score_date), written and not committed."""

    run_id: str
    region: str
    score_date: str
    """YYYY-MM-DD."""
    model_version: str
    files: tuple[DataFile, ...]
    vectors: tuple[DataFile, ...] = ()
    """Files of every category's probability, where the run was asked for them."""
    categories: DataFile | None = None
    """Which category stands where in them."""

    @property
    def partition(self) -> dict[str, str]:
        """Return the partition that they will replace."""
        return {"region": self.region, "score_date": self.score_date}

    @property
    def rows(self) -> int:
        """Return the number of customers scored."""
        return sum(file.rows for file in self.files)


def staged_path(config: Config, run_id: str) -> Path:
    """Return where a run's manifest lies."""
    return config.home / "staging" / "scores" / f"{run_id}.json"


def write_staged(config: Config, staged: StagedScores) -> Path:
    """Write a run's manifest, whole or not at all, and return its path."""
    path = staged_path(config, staged.run_id)
    write_atomically(path, json.dumps(asdict(staged), indent=1, sort_keys=True))
    return path


def read_staged(config: Config, run_id: str, region: str, score_date: str) -> StagedScores:
    """Return what a run staged; raise DataError when there is no such run or it is of another region or day."""
    path = staged_path(config, run_id)
    if not run_id.isalnum() or not path.is_file():
        raise DataError("no such run of scores", where=str(path), do="run jobs/score.py first and pass on its run_id")
    content = json.loads(path.read_text(encoding="utf-8"))
    categories = content.get("categories")
    staged = StagedScores(
        **{**content, "files": _files(content["files"]), "vectors": _files(content.get("vectors", ()))}
        | {"categories": categories and DataFile(**categories)}
    )
    if (staged.region, staged.score_date) != (region, score_date):
        what = f"the run is of {staged.region}, {staged.score_date}, not of {region}, {score_date}"
        raise DataError(what, where=str(path), do="pass on the run_id that this region's score job printed")
    return staged


def _files(entries: Sequence[Mapping[str, Any]]) -> tuple[DataFile, ...]:
    return tuple(DataFile(**entry) for entry in entries)
