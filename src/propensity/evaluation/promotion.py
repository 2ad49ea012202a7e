"""Whether a challenger becomes champion: the tests it was put to, and the decision in a sentence with figures.

No champion: it must beat the baselines, be believable and calibrated.  A champion: it must be shown to be better on the whole and
not worse anywhere; where the champion has grown old, not worse is enough.
"""

import datetime as dt
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from propensity.config import Promotion
from propensity.errors import BundleError
from propensity.evaluation.records import BASELINES, OURS, Figures
from propensity.evaluation.steady import believable, categories, drift
from propensity.evaluation.trial import FINITE, TITLES, Duel, against, alone
from propensity.evaluation.verdict import SUPERIOR, Test, Verdict, corrected
from propensity.models.registry import Champion

BASELINE_TITLES = {"popularity": "popularity", "decayed_frequency": "the customer's own decayed frequency"}
FIRST, BETTER, AS_GOOD = "first", "better", "not worse"
"""What is asked of a challenger."""
LISTED = 5
"""How many failed tests the sentence tells of."""
BASELINE, ORDER = "beats the baselines", "order"


@dataclass(frozen=True)
class Challenge:
    """A challenger, evaluated on its window, before it is tried."""

    evaluation: Mapping[str, Any]
    score_date: dt.date
    past: Sequence[Champion]
    """The region's champions, oldest first."""
    manifest: Sequence[Test]
    """What its manifest answers."""

    @property
    def champion(self) -> Champion | None:
        """Return the region's champion, None before the first promotion."""
        return self.past[-1] if self.past else None


@dataclass(frozen=True)
class Decision:
    """What became of a challenger."""

    promoted: bool
    reason: str
    crown: bool
    """Whether the champions table is to change."""
    verdict: Verdict | None
    """None when there was nothing to decide: it is champion already."""


def decide(settings: Promotion, challenge: Challenge, duel: Callable[[Champion | None], Duel]) -> Decision:
    """Return the decision on an evaluated challenger.

    `duel` scores the window by the challenger and the champion, if there is one; it may raise BundleError for the champion's
    bundle, which is then as good as none.  A challenger whose manifest is refused is not asked to score, nor is one whose window
    is too small to tell.
    """
    champion = challenge.champion
    version, digest = challenge.evaluation["version"], challenge.evaluation["digest"]
    if champion and (champion.version, champion.digest) == (version, digest):
        return Decision(True, f"already champion: {champion.reason}", crown=False, verdict=None)
    facts, beaten = [*challenge.manifest, *_order(challenge, digest)], baselines(challenge.evaluation["table"])
    tests, rule, lost = [*facts, *beaten], _rule(settings, challenge), ""
    if all(test.passed for test in facts) and not any(math.isnan(test.figure) for test in beaten):
        try:
            more = _tried(settings, challenge, duel(champion), rule)
        except BundleError as error:
            if champion is None:
                raise
            lost = f"champion {champion.version} can no longer be loaded ({error.what})"
            rule, champion = FIRST, None
            more = _tried(settings, challenge, duel(None), rule)
        tests = corrected([*tests, *more], 1 - settings.level)
    return _decision(challenge, champion, rule, tests, lost)


def _rule(settings: Promotion, challenge: Challenge) -> str:
    champion = challenge.champion
    if champion is None:
        return FIRST
    return AS_GOOD if (challenge.score_date - champion.score_date).days >= settings.refresh_after_days else BETTER


def _tried(settings: Promotion, challenge: Challenge, duel: Duel, rule: str) -> list[Test]:
    """Return the tests that need scores."""
    tests, table = alone(settings, duel), challenge.evaluation["table"]
    if not all(test.passed for test in tests if test.name == FINITE):
        return tests
    if duel.theirs is None:
        best = {measure: max(_number(table[name][measure]) for name in BASELINES) for measure in TITLES}
        return [*tests, *believable(settings.suspicious_gain_first, table[OURS], best, "the best baseline")]
    outcome = against(settings, duel, duel.theirs, better=rule == BETTER)
    gains = believable(settings.suspicious_gain, table[OURS], outcome.theirs, "the champion")
    return [*tests, *gains, *outcome.tests, *categories(settings, duel), *drift(settings, duel)]


def _order(challenge: Challenge, digest: str) -> list[Test]:
    """Return whether the challenger's turn has not passed: the champion is not of a later day, and it was not champion before."""
    champion = challenge.champion
    if champion is None:
        return []
    later = f"champion {champion.version} was trained for a later day, {champion.score_date}, than this challenger"
    before = [entry.sequence for entry in challenge.past if entry.digest == digest]
    again = f"it was champion {before} before and was replaced or withdrawn; jobs/rollback.py makes it champion again"
    return [
        _fact(ORDER, "score date", later, champion.score_date <= challenge.score_date),
        _fact(ORDER, "history", again, not before),
    ]


def baselines(table: Mapping[str, Figures]) -> list[Test]:
    """Return whether each baseline is beaten in macro AUC and micro AP."""
    tests = []
    for name in BASELINES:
        for measure, title in TITLES.items():
            mine, other = _number(table[OURS][measure]), _number(table[name][measure])
            told = f"{title} {mine:.4f}, {BASELINE_TITLES[name]} {other:.4f}"
            if math.isnan(mine):
                told = f"the held-out window is too small to tell: no {title} (no category has enough positives)"
            elif not mine > other:
                told = f"{title} {mine:.4f} does not beat {BASELINE_TITLES[name]}'s {other:.4f} on the held-out window"
            tests.append(Test(BASELINE, f"{name}, {title}", mine, other, told, mine > other))
    return tests


def _decision(challenge: Challenge, champion: Champion | None, rule: str, tests: Sequence[Test], lost: str) -> Decision:
    evaluation = challenge.evaluation
    failed = [test for test in tests if not test.passed and test.name != SUPERIOR]
    better = [test for test in tests if test.name == SUPERIOR]
    enough = rule != BETTER or any(test.passed for test in better)
    figures = ", ".join(f"{title} {_number(evaluation['table'][OURS][measure]):.4f}" for measure, title in TITLES.items())
    whole, name = ", ".join(test.told for test in better) or figures, f"champion {champion.version}" if champion else ""
    no_better = [f"not shown to be better than {name}: {whole}"] if better and not enough else []
    if failed or not enough:
        head = f"{len(failed)} of {len(tests)} tests failed: " if failed else ""
        rest = [f"{len(failed) - LISTED} more in verdict.json"] if len(failed) > LISTED else []
        reason = head + "; ".join([*(test.told for test in failed[:LISTED]), *rest, *no_better])
    else:
        told = {FIRST: "the region had no champion", AS_GOOD: f"not worse anywhere than {name}", BETTER: f"better than {name}"}
        reason = f"{len(tests)} tests passed; {lost or told[rule]}; {whole}"
    verdict = Verdict(
        version=evaluation["version"],
        digest=evaluation["digest"],
        region=evaluation["region"],
        score_date=challenge.score_date.isoformat(),
        cutoff=evaluation["cutoff"],
        champion={"version": champion.version, "digest": champion.digest} if champion else None,
        rule=rule,
        promoted=not failed and enough,
        reason=reason,
        tests=tests,
    )
    return Decision(verdict.promoted, reason, verdict.promoted, verdict)


def _fact(name: str, part: str, told: str, passed: bool) -> Test:
    return Test(name, part, math.nan, math.nan, "" if passed else told, passed)


def _number(value: float | None) -> float:
    return math.nan if value is None else value
