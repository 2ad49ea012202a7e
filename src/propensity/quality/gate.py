"""A gate: a suite of expectations on a little table of statistics, and the verdict that a run acts on.

A verdict is kept with the digest of what it judged; the same suite and statistics get the same verdict again without
Great Expectations, which costs seconds to import, or pandas.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from propensity.config import Config, Expectation
from propensity.errors import MAX_EXAMPLES, ConfigError, GateError
from propensity.quality.files import locked, write_atomically
from propensity.quality.rows import Row

STAGES = ("events", "features", "labels", "drift", "scores")
COLUMN_ARGUMENTS = ("column", "column_A", "column_B")
FORMAT = "2"
"""Part of the digest; counts up when verdicts or their pages change, so that older ones are made again."""


@dataclass(frozen=True)
class Subject:
    """What a gate stands before."""

    stage: str
    region: str
    score_date: str
    """YYYY-MM-DD."""
    purpose: str = "scoring"

    @property
    def folder(self) -> str:
        """Return the folder of its pages, relative to the data docs."""
        suffix = "" if self.purpose == "scoring" else f"-{self.purpose}"
        return f"{self.stage}/{self.region}/{self.score_date}{suffix}"

    def __str__(self) -> str:
        suffix = "" if self.purpose == "scoring" else f" ({self.purpose})"
        return f"gate {self.stage}, {self.region}, {self.score_date}{suffix}"


@dataclass(frozen=True)
class Check:
    """One expectation and what came of it."""

    check: str
    """Name of the Great Expectations class."""
    says: str
    column: str
    limits: str
    """The expectation's other arguments, as text."""
    passed: bool
    observed: str
    rows: int
    """How many rows of data are bad; of the little table, where no statistic counts them.  0 when passed."""
    examples: tuple[str, ...] = ()


@dataclass(frozen=True)
class Verdict:
    """What a gate says."""

    subject: Subject
    digest: str
    parts: int
    """Rows of the little table."""
    checks: tuple[Check, ...]
    docs: Path
    """The page to read."""
    cached: bool = False

    @property
    def failures(self) -> tuple[Check, ...]:
        """Return the checks that failed."""
        return tuple(check for check in self.checks if not check.passed)

    @property
    def passed(self) -> bool:
        """Say whether the gate opens."""
        return not self.failures

    def demand(self) -> "Verdict":
        """Return self; raise GateError, in one line, when a check failed."""
        if self.passed:
            return self
        first, *rest = self.failures
        more = f"; {len(rest)} more checks fail: {', '.join(c.column for c in rest)}" if rest else ""
        raise GateError(
            f"{first.check} of {first.column} failed: {first.says} [observed {first.observed}{more}]",
            where=str(self.subject),
            count=first.rows,
            examples=first.examples,
            do=f"read {self.docs}, mend the cause and run again; nothing behind this gate was written",
        )


def check(config: Config, subject: Subject, rows: Sequence[Row], examples: Mapping[str, Sequence[str]]) -> Verdict:
    """Judge `rows` by the stage's suite, write the pages, and return the verdict (cached when nothing changed).

    Raise ConfigError when the suite names a check or a column that does not exist.
    """
    suite: tuple[Expectation, ...] = getattr(config.quality, subject.stage)
    payload = [FORMAT, [e.model_dump(mode="json") for e in suite], list(rows), dict(examples), asdict(subject)]
    digest = hashlib.sha256(json.dumps(payload, sort_keys=True).encode()).hexdigest()
    known = _read(config, subject)
    if known is not None and known.digest == digest and known.docs.is_file():
        return known
    _check_columns(subject, suite, rows)
    from propensity.quality import docs, great  # seconds to import, and needed only without a kept verdict

    results, report = great.validate(subject, suite, rows)
    checks = tuple(_check(e, r, rows, examples) for e, r in zip(suite, results, strict=True))
    verdict = Verdict(subject, digest, len(rows), checks, data_docs(config) / subject.folder / "index.html")
    docs.write_pages(verdict, rows, report)
    _keep(config, verdict)
    with locked(data_docs(config) / ".lock"):
        docs.write_index(data_docs(config), kept_verdicts(config))
    return verdict


def data_docs(config: Config) -> Path:
    """Return the folder of the data docs; its index.html lists every gate."""
    return config.home / "data_docs"


def kept_verdicts(config: Config) -> list[Verdict]:
    """Return the latest verdict of every gate, newest score date first."""
    parsed = (_parse(config, path) for path in sorted((config.home / "verdicts").glob("*/*/*.json")))
    found = [verdict for verdict in parsed if verdict is not None]
    return sorted(found, key=lambda v: (v.subject.score_date, v.subject.region, -STAGES.index(v.subject.stage)), reverse=True)


def _check_columns(subject: Subject, suite: Sequence[Expectation], rows: Sequence[Row]) -> None:
    known = {column for row in rows for column in row}
    for expectation in suite:
        wanted = [str(expectation.args[name]) for name in COLUMN_ARGUMENTS if name in expectation.args]
        unknown = [name for name in wanted if name not in known]
        if rows and unknown:
            do = f"choose from {', '.join(sorted(known))}"
            raise ConfigError(f"no statistic is called {unknown[0]}", where=f"quality.yaml, {subject.stage}", do=do)


def _check(
    expectation: Expectation, result: Mapping[str, Any], rows: Sequence[Row], examples: Mapping[str, Sequence[str]]
) -> Check:
    """Return one check in plain words; `result` has success, observed and the positions of the bad rows."""
    columns = [str(expectation.args[name]) for name in COLUMN_ARGUMENTS if name in expectation.args]
    limits = ", ".join(f"{k} {v}" for k, v in expectation.args.items() if k not in COLUMN_ARGUMENTS)
    passed, observed = bool(result["success"]), str(result["observed"])
    verdict = Check(expectation.expect, expectation.says, " = ".join(columns) or "rows", limits, passed, observed, 0)
    if passed:
        return verdict
    bad = [rows[n] for n in result["bad"]]
    counted = expectation.examples
    if counted is None:
        shown = [", ".join([row["part"], *(f"{c} {row[c]}" for c in columns)]) for row in bad]
        return replace(verdict, rows=len(bad), examples=tuple(shown[:MAX_EXAMPLES]))
    total = sum(int(row.get(counted, 0)) for row in bad or rows)
    return replace(verdict, rows=total, examples=tuple(examples.get(counted, ()))[:MAX_EXAMPLES])


def _path(config: Config, subject: Subject) -> Path:
    return config.home / "verdicts" / f"{subject.folder}.json"


def _keep(config: Config, verdict: Verdict) -> None:
    content = asdict(verdict) | {"format": FORMAT, "docs": str(verdict.docs.relative_to(data_docs(config)))}
    write_atomically(_path(config, verdict.subject), json.dumps(content, indent=1))


def _read(config: Config, subject: Subject) -> Verdict | None:
    path = _path(config, subject)
    return _parse(config, path) if path.is_file() else None


def _parse(config: Config, path: Path) -> Verdict | None:
    """Return the verdict in a file, or None when another version of this module wrote it."""
    content = json.loads(path.read_text(encoding="utf-8"))
    if content.get("format") != FORMAT:
        return None
    checks = tuple(Check(**{**c, "examples": tuple(c["examples"])}) for c in content["checks"])
    docs = data_docs(config) / content["docs"]
    return Verdict(Subject(**content["subject"]), content["digest"], content["parts"], checks, docs, cached=True)
