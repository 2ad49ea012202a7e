"""A small client of Airflow's REST API: what the demonstration and the tests need of it."""

import time
from collections.abc import Mapping
from typing import Any

import httpx

from propensity.errors import MachineError, PropensityError


class Api:
    """The REST API of a running Airflow whose every visitor is an administrator."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.http = httpx.Client(base_url=address, timeout=30.0, trust_env=False)

    def healthy(self) -> bool:
        """Say whether the API answers and scheduler and DAG processor have reported lately."""
        try:
            # The first request to the execution interface builds it, for seconds: now, rather than when the first task waits.
            self.http.get("/execution/health", timeout=60.0)
            health = self.http.get("/api/v2/monitor/health", timeout=10.0).json()
        except (httpx.HTTPError, ValueError):
            return False
        return all((health.get(part) or {}).get("status") == "healthy" for part in ("metadatabase", "scheduler", "dag_processor"))

    def call(self, method: str, path: str, **kwargs: Any) -> Any:
        """Return the JSON answer; raise PropensityError with Airflow's own words for a refusal."""
        try:
            answer = self.http.request(method, f"/api/v2{path}", **kwargs)
        except httpx.HTTPError as error:
            raise MachineError(f"Airflow does not answer: {error}", where=self.address, do="see whether it still runs") from None
        if answer.is_error:
            raise PropensityError(f"Airflow refused: {_detail(answer)}", where=f"{method} {path}")
        return answer.json() if answer.content else None

    def wait_for_dags(self, dags: list[str], seconds: float = 60.0) -> None:
        """Wait until every DAG is known; raise PropensityError with the import error when one cannot be read."""
        deadline = time.monotonic() + seconds
        while True:
            known = {d["dag_id"] for d in self.call("GET", "/dags", params={"limit": 100})["dags"]}
            if set(dags) <= known:
                return
            errors = self.call("GET", "/importErrors")["import_errors"]
            if errors:
                raise PropensityError(_last_line(errors[0]["stack_trace"]), where=errors[0]["filename"], count=len(errors))
            if time.monotonic() > deadline:
                missing = sorted(set(dags) - known)
                raise MachineError("Airflow did not find the DAGs", examples=missing, do="read the DAG processor's log")
            time.sleep(0.2)

    def unpause(self, dag: str) -> None:
        """Let the scheduler work on a DAG."""
        self.call("PATCH", f"/dags/{dag}", json={"is_paused": False})

    def trigger(self, dag: str, conf: Mapping[str, Any], logical_date: str | None = None, run_id: str | None = None) -> str:
        """Start a run; return its id."""
        body: dict[str, Any] = {"logical_date": logical_date, "conf": dict(conf)}
        if run_id:
            body["dag_run_id"] = run_id
        return str(self.call("POST", f"/dags/{dag}/dagRuns", json=body)["dag_run_id"])

    def run(self, dag: str, run_id: str) -> dict[str, Any]:
        """Return a run."""
        return dict(self.call("GET", f"/dags/{dag}/dagRuns/{run_id}"))

    def runs(self, dag: str, **filters: Any) -> list[dict[str, Any]]:
        """Return the runs of a DAG, the newest first."""
        params = {"order_by": "-run_after", "limit": 100, **filters}
        return list(self.call("GET", f"/dags/{dag}/dagRuns", params=params)["dag_runs"])

    def tasks(self, dag: str, run_id: str) -> list[dict[str, Any]]:
        """Return the task instances of a run, mapped ones one by one."""
        return list(self.call("GET", f"/dags/{dag}/dagRuns/{run_id}/taskInstances", params={"limit": 1000})["task_instances"])

    def xcom(self, task: Mapping[str, Any], key: str = "return_value") -> Any:
        """Return what a task instance reported, or None."""
        answer = self.http.get(f"{_path(task)}/xcomEntries/{key}", params={"map_index": task["map_index"], "deserialize": "true"})
        return answer.json()["value"] if answer.is_success else None

    def log(self, task: Mapping[str, Any]) -> list[str]:
        """Return the log lines of a task instance's latest try."""
        path = f"{_path(task)}/logs/{max(1, task['try_number'])}"
        answer = self.http.get(path, params={"map_index": task["map_index"], "full_content": "true"})
        if answer.is_error:
            return []
        return [_line(entry) for entry in answer.json().get("content", [])]


def _path(task: Mapping[str, Any]) -> str:
    return f"/api/v2/dags/{task['dag_id']}/dagRuns/{task['dag_run_id']}/taskInstances/{task['task_id']}"


def _line(entry: Any) -> str:
    if not isinstance(entry, dict):
        return str(entry)
    details = entry.get("error_detail") or []
    return f"error: {details[0]['exc_value']}" if details else str(entry.get("event", ""))


def _detail(answer: httpx.Response) -> str:
    try:
        detail = answer.json().get("detail", answer.text)
    except ValueError:
        detail = answer.text
    return " ".join(str(detail).split())[:400]


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "a DAG file could not be imported"
