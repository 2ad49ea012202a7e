"""Plant bad challengers on the undivided Complete Journey data and print what the promotion says of each.

The champion is trained here, as every week.  Every challenger goes through the evaluation and the decision that the jobs call;
nothing of it reaches the lake: bundles lie in a temporary folder, and the champion is one in name only.
"""

import argparse
import datetime as dt
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from benchmarks.running import ROOT, make_tables, say
from propensity.config import MAX_CHANNELS, load_config, parse_date
from propensity.contracts import FEATURES
from propensity.errors import PropensityError
from propensity.evaluation.held_out import evaluate, held_out
from propensity.evaluation.judging import duel
from propensity.evaluation.manifest_checks import check_manifest
from propensity.evaluation.promotion import Challenge, Decision, decide
from propensity.features.csr import SparseBatch, concat, from_arrow
from propensity.features.windows import training_cutoffs
from propensity.models.data import Rows, TrainingTables
from propensity.models.loading import load_pipeline, predictor_of
from propensity.models.ragged import owners
from propensity.models.recipe import train
from propensity.models.registry import Champion
from propensity.models.versions import bundle_folder, data_digest
from propensity.pipeline.bundle import GOLDEN, STEPS, WEIGHTS, Bundle, Golden, load_bundle, write_bundle
from propensity.storage import Lake

CONF, REGION, SCORE_DATE = ROOT / "benchmarks" / "undivided", "all", "2018-01-01"
STALE_WINDOWS = 2
"""How many windows the stale challenger's features lie before its labels: 28 days."""
LEAK_SLOT = MAX_CHANNELS - 1
"""A slot that no channel has; the leaking challenger's features hold the label there."""
Wound = Callable[[dict[str, Any]], object]


class Leaking(TrainingTables):
    """Rows with a feature that holds the label, in the held-out window, too: as a mistake in building features would."""

    def rows(self, cutoff: dt.date) -> Iterator[Rows]:
        """Yield the rows with one more feature for each category acted on."""
        for part in super().rows(cutoff):
            user = np.concatenate([owners(part.features.offsets), owners(part.label_offsets)])
            ids = np.concatenate([part.features.indices, part.label_tokens * np.int32(MAX_CHANNELS) + np.int32(LEAK_SLOT)])
            values = np.concatenate([part.features.values, np.ones(len(part.label_tokens), np.float32)])
            order = np.lexsort((ids, user))
            offsets = part.features.offsets + part.label_offsets
            yield replace(part, features=SparseBatch(ids[order].astype(np.int32), values[order], offsets))


class Stale(TrainingTables):
    """Rows of the windows that are learned from as they were weeks before their labels."""

    def rows(self, cutoff: dt.date) -> Iterator[Rows]:
        """Yield the rows with older features; a customer who had none then has an empty row."""
        step = self.config.features.horizon_days * STALE_WINDOWS
        if cutoff == training_cutoffs(self.config, parse_date(SCORE_DATE))[0]:
            yield from super().rows(cutoff)
            return
        then = (cutoff - dt.timedelta(days=step)).isoformat()
        tables = [self.lake.read(FEATURES.name, f) for f in self.lake.files(FEATURES, region=self.region, score_date=then)]
        users = pa.chunked_array([table["user_id"].combine_chunks() for table in tables]).combine_chunks()
        nobody = SparseBatch(np.zeros(0, np.int32), np.zeros(0, np.float32), np.zeros(2, np.int64))
        old = concat([*(from_arrow(t["indices"].combine_chunks(), t["values"].combine_chunks()) for t in tables), nobody])
        for part in super().rows(cutoff):
            at = pc.index_in(part.users, value_set=users).fill_null(len(old) - 1)
            yield replace(part, features=old.take(at.to_numpy().astype(np.int64)))


@dataclass(frozen=True)
class Trial:
    """The lake, the day and the champion that challengers are tried against."""

    lake: Lake
    day: dt.date
    champion: Champion | None

    def judge(self, tables: TrainingTables, version: str) -> Decision:
        """Evaluate a version and decide on it, as the jobs do."""
        bundle = load_bundle(bundle_folder(self.lake.config, REGION, version))
        model = load_pipeline(bundle.path, bundle.digest).predictor
        evaluation = evaluate(tables, held_out(tables, self.day), bundle, model)
        data = data_digest(tables.digests(training_cutoffs(self.lake.config, self.day)))
        facts = check_manifest(self.lake.config, REGION, self.day, bundle.manifest, data)
        challenge = Challenge(evaluation, self.day, [self.champion] if self.champion else [], facts)
        return decide(self.lake.config.models.promotion, challenge, lambda current: duel(tables, self.day, bundle, current))

    def told(self, title: str, tables: TrainingTables, version: str) -> str:
        """Return a line of the table: the challenger, what became of it, and why."""
        say(f"judging: {title}")
        try:
            decision = self.judge(tables, version)
        except PropensityError as error:
            return f"| {title} | refused | {error.what} |"
        return f"| {title} | {'promoted' if decision.promoted else 'blocked'} | {decision.reason} |"


def save(lake: Lake, bundle: Bundle, version: str, wound: Wound, manifest: Mapping[str, Any]) -> None:
    """Save a bundle under another name, its arrays wounded and its manifest edited, with digests and golden rows made right."""
    folder = bundle_folder(lake.config, REGION, version)
    tensors = {name: np.array(array) for name, array in bundle.tensors.items()}
    wound(tensors)
    kept = {key: value for key, value in bundle.manifest.items() if key not in ("files", "format")}
    steps = {f"{at}.{name}": array for at, arrays in enumerate(bundle.step_tensors) for name, array in arrays.items()}

    def write(golden: Golden) -> None:
        arrays = {WEIGHTS: tensors, STEPS: steps, GOLDEN: golden.arrays()}
        write_bundle(folder, {**kept, **manifest, "version": version}, arrays, bundle.model_files)

    write(bundle.golden)
    if all(np.isfinite(array).all() for array in tensors.values()):
        predictor = predictor_of(load_bundle(folder))
        write(Golden(bundle.golden.batch, predictor.predict_batch(bundle.golden.batch)))


def trained(tables: TrainingTables, day: dt.date, version: str, **models: Any) -> Bundle:
    """Train with some settings changed and return the bundle, kept under a name of its own."""
    say(f"training: {version}")
    config = tables.config
    changed = Lake(config.model_copy(update={"models": config.models.model_copy(update=models)}))
    made = train(type(tables)(changed, REGION), day, "cpu", say)
    folder = bundle_folder(config, REGION, version)
    made.folder.rename(folder)
    bundle = load_bundle(folder)
    save(tables.lake, bundle, version, nothing, {})
    return load_bundle(folder)


def constant(tensors: dict[str, Any]) -> None:
    """Leave each category's bias alone."""
    for name in ("output.weight", "history_weight.weight", "history_output.weight"):
        tensors[name][:] = 0


def upside_down(tensors: dict[str, Any]) -> None:
    """Turn the most popular category round, and silence what it shares with the others."""
    column = int(np.argmax(tensors["prior"]))
    for name in ("output.weight", "history_weight.weight"):
        tensors[name][column] *= -1
    tensors["history_category.weight"][column] = -100  # below zero whatever the history: the shared part falls silent


def elsewhere(tensors: dict[str, Any]) -> None:
    """Give every category another one's weights."""
    categories = len(tensors["categories"])
    order = np.random.default_rng(0).permutation(categories)
    for name, array in tensors.items():
        if name != "categories" and array.shape[:1] == (categories,):
            tensors[name] = np.ascontiguousarray(array[order])


def poisoned(tensors: dict[str, Any]) -> None:
    """Put something that is no number in one feature's row."""
    tensors["embedding.weight"][0] = np.nan


def nothing(_: dict[str, Any]) -> None:
    """Leave the arrays as they are."""


def wounds(champion: Bundle) -> dict[str, tuple[Wound, dict[str, Any]]]:
    """Return the challengers that the champion is made into: what is done to its arrays and to its manifest."""
    data = dict(champion.manifest["data"])
    days = [dt.date.fromisoformat(day) for day in data["windows"]]
    late = [(day - dt.timedelta(days=28)).isoformat() for day in days]
    leak = [champion.manifest["held_out"], *data["windows"]]
    return {
        "a constant": (constant, {}),
        "another region's bundle": (nothing, {"region": "north"}),
        "another region's categories, the manifest made to fit": (elsewhere, {}),
        "weights that are no numbers": (poisoned, {}),
        "the most popular category upside down": (upside_down, {}),
        "windows 28 days old": (nothing, {"data": {**data, "windows": late}}),
        "the held-out window among those learned from": (nothing, {"data": {**data, "windows": leak}}),
    }


def measure(folder: Path, reseeds: int) -> list[str]:
    """Train, plant, judge; return the lines of the table."""
    make_tables(CONF, REGION, SCORE_DATE)
    real, day = load_config(CONF), parse_date(SCORE_DATE)
    runtime = real.runtime.model_copy(update={"lake": real.lake})
    lake = Lake(real.model_copy(update={"home": folder, "runtime": runtime}))
    tables = TrainingTables(lake, REGION)
    bundle = trained(tables, day, "champion")
    trial = Trial(lake, day, Champion(1, bundle.version, bundle.digest, day, "trained for this benchmark"))
    first = replace(trial, champion=None)
    lines = [first.told("the champion itself, where there was none", tables, bundle.version)]
    for title, (wound, manifest) in wounds(bundle).items():
        version = title.replace(" ", "-").replace(",", "").replace("'", "")
        save(lake, bundle, version, wound, manifest)
        lines.append(trial.told(title, tables, version))
    leaking, stale = Leaking(lake, REGION), Stale(lake, REGION)
    trained(leaking, day, "leak")
    lines.append(trial.told("a feature that holds the label", leaking, "leak"))
    lines.append(first.told("the same, where there is no champion", leaking, "leak"))
    # The oldest windows have no rows that are older still, so fewer are learned from.
    old = trained(stale, day, "stale", train_windows=lake.config.models.train_windows - STALE_WINDOWS)
    save(lake, old, "stale", nothing, {"data": bundle.manifest["data"]})
    lines.append(trial.told("features 28 days older than their labels, the manifest made to fit", tables, "stale"))
    for seed in range(1, reseeds + 1):
        trained(tables, day, f"seed-{seed}", seed=seed)
        lines.append(trial.told(f"the same again, seed {seed}", tables, f"seed-{seed}"))
    return lines


def main() -> int:
    """Run it and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--reseeds", type=int, default=3, help="how many honest models of other seeds to try")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        lines = measure(Path(folder), arguments.reseeds)
    print("| challenger | verdict | reason |\n|---|---|---|", *lines, sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
