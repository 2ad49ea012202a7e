"""What was found about a challenger, test by test: one JSON file beside its bundle, bound to both digests.  Light to import."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from propensity.evaluation.records import plain, write_text
from propensity.pipeline.bundle import bundle_digest

FILE = "verdict.json"
SUPERIOR = "better"
"""Name of the tests of which one has to be passed; all the others have to be passed every one."""


@dataclass(frozen=True)
class Test:
    """One question that was put to a challenger."""

    __test__ = False  # no test of pytest's

    name: str
    slice: str
    """Which pairs, customers or category it looks at; or which part of the manifest."""
    figure: float
    """What was measured; NaN where there was nothing to measure."""
    bound: float
    """What the figure was held against; NaN where there is no such number."""
    told: str
    """The finding in words, with figures."""
    passed: bool
    low: float = math.nan
    """Lower end of the figure's interval."""
    high: float = math.nan
    p: float | None = None
    """p-value after the correction for the number of tests; None for a check without sampling error."""


@dataclass(frozen=True)
class Verdict:
    """All that a decision rests on."""

    version: str
    digest: str
    region: str
    score_date: str
    cutoff: str
    """First day of the held-out window."""
    champion: Mapping[str, str] | None
    """Version and digest of the champion that it was compared with."""
    rule: str
    """What was asked of it: "first", "better" or "not worse"."""
    promoted: bool
    reason: str
    tests: Sequence[Test]

    @property
    def failed(self) -> list[Test]:
        """Return the tests that were not passed, those of which one is enough left out."""
        return [test for test in self.tests if not test.passed and test.name != SUPERIOR]


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values corrected for their number (Holm, A Simple Sequentially Rejective Multiple Test Procedure, 1979)."""
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    result, highest = [0.0] * len(p_values), 0.0
    for step, i in enumerate(order):
        highest = max(highest, min(1.0, p_values[i] * (len(p_values) - step)))
        result[i] = highest
    return result


def corrected(tests: Sequence[Test], alpha: float) -> list[Test]:
    """Return the tests with their p-values, which ask whether something good is shown, corrected and held against `alpha`."""
    told = [i for i, test in enumerate(tests) if test.p is not None]
    values = holm([p for test in tests if (p := test.p) is not None])
    result = list(tests)
    for i, p in zip(told, values, strict=True):
        result[i] = replace(tests[i], p=p, passed=tests[i].passed and p <= alpha)
    return result


def write_verdict(folder: Path, verdict: Verdict) -> None:
    """Write the verdict beside the bundle, whole or not at all."""
    write_text(folder / FILE, json.dumps(plain(asdict(verdict)), indent=1))


def read_verdict(folder: Path) -> dict[str, Any] | None:
    """Return the verdict beside a bundle; None unless there is one and it is of this very bundle."""
    path = folder / FILE
    if not path.is_file():
        return None
    verdict: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return verdict if verdict.get("digest") == bundle_digest(folder) else None
