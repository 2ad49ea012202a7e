"""The operator that runs a job: ``jobs/NAME.py`` as a process of its own, its verdict as XCom."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSkipException

ROOT = Path(__file__).resolve().parents[2]
EXIT_REFUSED = 2
GRACE_SECONDS = 10.0
ERROR_MARK = "error: "


class JobOperator(BaseOperator):
    """Run ``jobs/<job>.py`` with arguments and return what it reports as its verdict.

    `arguments` become options: ``{"score_date": "2018-01-01"}`` is ``--score-date 2018-01-01``; True is a bare option, False and
    None leave it out, a list is joined by commas.  No shell is involved, so no value can be anything but a value.

    Exit status 2 means that the job refused (wrong input, a gate that said no): the task fails with the job's one line and
    is not retried.  Any other status but 0 is retried.  With `skip_unless`, a verdict in which that key is false ends the task as
    skipped, with the verdict's `reason`.  The verdict goes to XCom, whole and key by key, and to the events of the outlets.
    """

    template_fields: Sequence[str] = ("arguments",)
    template_fields_renderers = {"arguments": "json"}  # noqa: RUF012  # Airflow's way to declare it
    ui_color = "#e8f1fb"

    def __init__(
        self,
        *,
        job: str,
        arguments: Mapping[str, Any],
        skip_unless: str | None = None,
        jobs_folder: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(multiple_outputs=True, **kwargs)
        self.job = job
        self.arguments = arguments
        self.skip_unless = skip_unless
        self.jobs_folder = jobs_folder
        self._process: subprocess.Popen[str] | None = None

    def told(self, key: str) -> Any:
        """Return a reference to one value of the verdict, for the arguments of later tasks."""
        return self.output[key]  # type: ignore[index]  # the type says XComArg, the object can

    def command(self, verdict: str) -> list[str]:
        """Return the command line, `verdict` being the file that the job reports to."""
        folder = Path(self.jobs_folder) if self.jobs_folder else ROOT / "jobs"
        return [sys.executable, str(folder / f"{self.job}.py"), *options(self.arguments), "--verdict", verdict]

    def execute(self, context: Any) -> dict[str, Any]:
        """Run the job to its end; return its verdict."""
        with tempfile.TemporaryDirectory(prefix="propensity-") as scratch:
            path = Path(scratch) / "verdict.json"
            status, error = self._run(self.command(str(path)))
            if status == EXIT_REFUSED:
                raise AirflowFailException(error or f"{self.job} refused and did not say why")
            if status != 0:
                raise AirflowException(f"{self.job} ended with status {status}" + (f": {error}" if error else ""))
            verdict = {**self._facts(), **_read_verdict(path, self.job)}
        if self.skip_unless and not verdict.get(self.skip_unless):
            self._push(context, verdict)
            raise AirflowSkipException(str(verdict.get("reason") or f"not {self.skip_unless}"))
        self._announce(context, verdict)
        return verdict

    def _facts(self) -> dict[str, Any]:
        return {key: self.arguments[key] for key in ("region", "score_date") if key in self.arguments}

    def _run(self, command: list[str]) -> tuple[int, str]:
        """Run `command` on a leash, copying its output to the log; return its status and its last error line."""
        self.log.info("Running %s", " ".join(command))
        begun = time.monotonic()
        leash = [sys.executable, "-m", "propensity_airflow.leash", str(os.getpid()), *command]
        process = self._process = subprocess.Popen(
            leash,
            cwd=ROOT,
            env=job_environment(os.environ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        try:
            error = self._stream(process.stdout)
            status = process.wait()
            self.log.info("Ended with status %d after %.2f s", status, time.monotonic() - begun)
            return status, error
        finally:
            # A timeout or a kill arrives as an exception here; also ends what a finished job may have left behind.
            self.on_kill()

    def _stream(self, lines: IO[str] | None) -> str:
        error = ""
        for raw in lines or ():
            line = raw.rstrip()
            if line.startswith((ERROR_MARK, f"{self.job}.py: {ERROR_MARK}")):  # the latter: arguments that the job does not take
                error = line.partition(ERROR_MARK)[2]
            self.log.info("%s", line)
        return error

    def on_kill(self) -> None:
        """End the job's whole process group: ask first, then insist."""
        process = self._process
        if process is None:
            return
        self._process = None
        _signal_group(process.pid, signal.SIGTERM)
        try:
            process.wait(GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            self.log.warning("%s did not end within %.0f seconds: killing it", self.job, GRACE_SECONDS)
        _signal_group(process.pid, signal.SIGKILL)
        process.wait()

    def _push(self, context: Any, verdict: Mapping[str, Any]) -> None:
        # A skipped task's return value is not pushed by Airflow.
        for key, value in verdict.items():
            context["ti"].xcom_push(key, value)
        context["ti"].xcom_push("return_value", dict(verdict))

    def _announce(self, context: Any, verdict: Mapping[str, Any]) -> None:
        plain = {key: value for key, value in verdict.items() if isinstance(value, str | int | float | bool)}
        for outlet in self.outlets:
            context["outlet_events"][outlet].extra.update(plain)


def job(name: str, arguments: Mapping[str, Any], **kwargs: Any) -> JobOperator:
    """Return the task that runs ``jobs/<name>.py``; `arguments` and keywords as JobOperator has them.

    `task_id` is the job's name unless given.
    """
    # In the grid, a mapped task shows its region instead of a number.
    label = {"map_index_template": "{{ task.arguments['region'] }}"} if "region" in arguments else {}
    return JobOperator(task_id=kwargs.pop("task_id", name), job=name, arguments=arguments, **label, **kwargs)


def options(arguments: Mapping[str, Any]) -> list[str]:
    """Return the command-line options for `arguments`, in their order."""
    result: list[str] = []
    for key, value in arguments.items():
        flag = "--" + key.replace("_", "-")
        if value is None or value is False:
            continue
        if value is True:
            result.append(flag)
            continue
        text = ",".join(str(v) for v in value) if isinstance(value, list | tuple) else str(value)
        # One word, so that a value that starts with a dash stays a value.
        result.append(f"{flag}={text}")
    return result


def job_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a job: the task's without Airflow's own settings and keys, plus where the library is."""
    mine = {k: v for k, v in environment.items() if not k.startswith(("AIRFLOW_", "_AIRFLOW_"))}
    paths = [str(ROOT / "src"), str(ROOT / "plugins"), *mine.get("PYTHONPATH", "").split(os.pathsep)]
    mine["PYTHONPATH"] = os.pathsep.join(dict.fromkeys(p for p in paths if p))
    mine["PYTHONUNBUFFERED"] = "1"
    return mine


def _read_verdict(path: Path, job: str) -> dict[str, Any]:
    try:
        verdict = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise AirflowException(f"{job} ended well but left no readable verdict: {error}") from None
    if not isinstance(verdict, dict):
        raise AirflowException(f"{job} left a verdict that is not an object: {verdict!r}")
    return verdict


def _signal_group(group: int, number: signal.Signals) -> None:
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        return  # nobody left in it
