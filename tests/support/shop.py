"""A small project of its own in a temporary folder: the configuration of docs/own_events over synthetic events."""

import datetime as dt
import shutil
from pathlib import Path

import pyarrow as pa
import yaml

from propensity.config import Config, load_config
from propensity.events.synthetic import generate, write
from propensity.storage import Lake

CONF = Path(__file__).parents[2] / "docs" / "own_events" / "conf"
FIRST = dt.date(2025, 1, 1)


def make_config(folder: Path, **changes: dict[str, object]) -> Config:
    """Copy the configuration, change keys of its sections, and load it with a home below `folder`."""
    conf = folder / "conf"
    shutil.copytree(CONF, conf, dirs_exist_ok=True)
    for section, values in changes.items():
        path = conf / f"{section}.yaml"
        path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | values))
    return load_config(conf, folder / "home")


def make_shop(folder: Path, customers: int = 20, days: int = 60, seed: int = 0, **changes: dict[str, object]) -> Lake:
    """Return the lake of a small project whose event files are written and nothing landed."""
    config = make_config(folder, **changes)
    write(config.home / "raw", generate(customers, FIRST, days, seed))
    return Lake(config)


def land_here(lake: Lake, days: list[dt.date], force: bool = False) -> str | None:
    """Land without Spark, file by file and group by group, and commit: what the engine does, in this process."""
    from propensity.contracts import TOKENS
    from propensity.events import activity, landing
    from propensity.events.checks import Tally
    from propensity.features import tokens

    plan = landing.plan_landing(lake, days, force)
    if plan is None:
        return None
    found, seen, opened = Tally(), [], {file: activity.open_events(lake.config, file, plan.days) for file in plan.files}
    for file in plan.files:
        part = activity.examine(lake.config, file, opened[file])
        found.merge(part.tally)
        seen.append(part.words)
    vocabulary = tokens.load(lake)
    new = vocabulary.missing(tokens.union(seen))
    if new:
        lake.append(TOKENS, [lake.write(TOKENS, {}, f"{len(vocabulary)}", vocabulary.rows(new), {})], {}, lake.version(TOKENS))
    index = vocabulary.extended(new).by_key()
    parts: dict[activity.GroupKey, list[pa.Table]] = {}
    for file in plan.files:
        for key, table in activity.aggregate(lake.config, file, plan.days, index, opened[file]).items():
            parts.setdefault(key, []).append(table)
    groups = landing.groups_of(lake, plan)
    for region in lake.config.region_names:
        mine = {k: g for k, g in groups.items() if k[0] == region}
        written = [pair for key, group in mine.items() for pair in activity.write_group(lake, group, parts.get(key, []))]
        landing.write_manifest(lake, plan, region, mine.values(), written, found)
        landing.commit_landing(lake, plan.id, region)
    return plan.id
