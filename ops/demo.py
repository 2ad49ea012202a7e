"""The main job, start to end: a year of real shopping becomes published scores, by the real DAGs under a real scheduler."""

import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

from rich.console import Console

from ops.progress import Progress
from ops.report import report
from ops.settings import ROOT, Stack, environment
from ops.stack import DAGS, Running, check_disk, running
from propensity.config import Config, load_config, parse_date
from propensity.errors import ConfigError, PropensityError

ASSET_SECONDS = 20.0


def demo(score_date: str | None, console: Console) -> None:
    """Prepare the data, start everything, train, score, show what came out, stop everything."""
    started = time.monotonic()
    config = load_config()
    day = parse_date(score_date).isoformat() if score_date else default_date(config)
    say = _speaker(console, started)
    say(f"Regions: {', '.join(f'{name} ({region.title})' for name, region in config.regions.regions.items())}")
    check_disk(config)
    prepare(config, say)
    with running(config, say) as stack:
        for dag in DAGS:
            stack.api.unpause(dag)
        facts = {"score_date": day}
        say(f"Training one model a region with what was known on {day}: watch it on {stack.stack.address}")
        train = follow(stack, console, "propensity_train", stack.api.trigger("propensity_train", facts))
        say("Scoring every customer and publishing")
        score = follow(stack, console, "propensity_score", scoring_run(stack, train, facts))
        report(stack, console, day, {"propensity_train": train, "propensity_score": score})
    say("Everything that was started is stopped again.  make up brings the web UI, make help lists what else there is.")


def follow(stack: Running, console: Console, dag: str, run_id: str) -> list[dict[str, Any]]:
    """Show a run until it ends; return its tasks."""
    return Progress(stack, console, dag, run_id).follow()


def scoring_run(stack: Running, train: list[dict[str, Any]], facts: dict[str, str]) -> str:
    """Return the scoring run that the new champions started by their asset; start one where there were none."""
    announced = [t for t in train if t["task_id"] == "announce" and t["state"] == "success"]
    if announced and set(stack.api.xcom(announced[0]) or ()) == set(stack.stack.config.region_names):
        deadline = time.monotonic() + ASSET_SECONDS
        while time.monotonic() < deadline:
            runs = stack.api.runs("propensity_score", run_after_gte=announced[0]["start_date"])
            found = [r for r in runs if r["run_type"] == "asset_triggered"]
            if found:
                return str(found[0]["dag_run_id"])
            time.sleep(0.3)
    return stack.api.trigger("propensity_score", facts)


def prepare(config: Config, say: Callable[[str], None]) -> None:
    """Make the daily files of the shipped data, where the configuration reads them."""
    if config.runtime.dataset is None:
        return
    say("Preparing the data")
    command = [sys.executable, "jobs/prepare.py"]
    done = subprocess.run(command, cwd=ROOT, env=environment(Stack(config, 0)), capture_output=True, text=True, check=False)
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        raise PropensityError(lines[-1].removeprefix("error: ") if lines else "the data could not be prepared")


def default_date(config: Config) -> str:
    """Return the day to show: the last one of the schedule.  Raise ConfigError when it has no end."""
    if config.runtime.schedule.end is None:
        do = "name one: make demo SCORE_DATE=2018-01-01"
        raise ConfigError("the schedule has no end, so there is no last day to show", do=do)
    return config.runtime.schedule.end.isoformat()


def _speaker(console: Console, started: float) -> Callable[[str], None]:
    def say(text: str) -> None:
        console.print(f"[bold]{time.monotonic() - started:6.1f} s[/bold]  {text}", highlight=False, soft_wrap=True)

    return say
