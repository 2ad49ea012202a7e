"""The origins of the backtest, and what each model says at each of them, two processes side by side."""

import datetime as dt
import hashlib
import shutil
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import yaml

from benchmarks.running import ROOT, job, make_tables, say
from propensity.config import load_config
from propensity.features.csr import FloatArray
from propensity.models.data import TrainingTables
from propensity.models.versions import bundle_folder, digest_of
from propensity.storage import Lake

CONF = ROOT / "benchmarks" / "undivided"
REGION = "all"
LAST = dt.date(2018, 1, 1)
STEP = dt.timedelta(days=14)
ORIGINS = 4
"""Held-out windows of the backtest."""
WINDOWS = 13
"""Earlier windows that each origin of the backtest learns from."""
OURS, POPULARITY, DECAYED = "ours", "popularity", "decayed_frequency"
EACH, PAIRS, PLAIN = "xgboost_per_category", "xgboost_pairs", "plain_network"
QUICKER = (POPULARITY, DECAYED, EACH, PAIRS)
"""Peers that learn in one process, one after the other; the plain network takes as long by itself."""
CODE = {EACH: "peers_boosting.py", PAIRS: "peers_boosting.py", PLAIN: "peers_network.py"}
SAMPLED = (EACH, PAIRS)
"""Peers that learn from less in short."""
MODELLED = "modelled"
Folders: TypeAlias = dict[str, Path]
"""Where each peer's scores of a held-out window lie."""
PROCESSES = 2


@dataclass(frozen=True)
class Origin:
    """One model of each kind: learned from `windows` windows before the held-out one, which ends on `score_date`."""

    score_date: dt.date
    windows: int = WINDOWS

    @property
    def cutoff(self) -> dt.date:
        """Return the day that the held-out window begins on; nothing of it or later is learned from."""
        return self.score_date - STEP


def origins(count: int) -> list[Origin]:
    """Return the newest origins; their held-out windows lie side by side."""
    return [Origin(LAST - STEP * k) for k in range(count)]


def windows_needed(wanted: Sequence[Origin]) -> int:
    """Return how many windows before the last cutoff the tables have to reach back."""
    return max((LAST - o.score_date) // STEP + o.windows for o in wanted)


def configuration(windows: int) -> Path:
    """Return the benchmark's configuration folder, or a copy in which `models.train_windows` alone is another."""
    content = yaml.safe_load((CONF / "models.yaml").read_text())
    if content["train_windows"] == windows:
        return CONF
    folder = load_config(CONF).home / "evaluate" / f"conf-{windows}"
    shutil.copytree(CONF, folder, dirs_exist_ok=True)
    (folder / "models.yaml").write_text(yaml.safe_dump({**content, "train_windows": windows}))
    return folder


def make_all_tables(wanted: Sequence[Origin]) -> None:
    """Bring about the features and labels of every window of every origin, gates included."""
    make_tables(configuration(windows_needed(wanted)), REGION, LAST.isoformat())


def tables_of(origin: Origin) -> TrainingTables:
    """Return the tables as an origin sees them."""
    return TrainingTables(Lake(load_config(configuration(origin.windows))), REGION)


def train_ours(origin: Origin, force: bool) -> tuple[Path, float]:
    """Train by the real job; return the bundle's folder and the seconds it took."""
    started = time.monotonic()
    date = origin.score_date.isoformat()
    arguments = ["--region", REGION, "--score-date", date, "--device", "cpu", *(["--force"] if force else [])]
    conf = configuration(origin.windows)
    version = job(conf, "train", *arguments, called=date)["version"]
    return bundle_folder(load_config(conf), REGION, version), time.monotonic() - started


def learn_peers(origin: Origin, names: Sequence[str], sample: int | None, force: bool) -> tuple[Folders, dict[str, float]]:
    """Write these peers' scores of the held-out window, unless the same inputs made them before; return where, and seconds."""
    folders = {name: scores_folder(origin, name, sample) for name in names}
    wanted = [name for name, folder in folders.items() if force or not folder.is_dir()]
    if not wanted:
        return folders, {}
    from benchmarks.peers import prepare  # imported here: torch and xgboost load only where there is work

    seconds = {}
    started = time.monotonic()
    peers = prepare(tables_of(origin), origin.score_date)
    seconds["reading"] = time.monotonic() - started
    for name in wanted:
        started = time.monotonic()
        _keep(folders[name], _scores_of(peers, name, sample, partial(_say, f"{origin.cutoff} {name}: ")))
        seconds[name] = time.monotonic() - started
        say(f"{origin.cutoff} {name}: {seconds[name]:.0f} s")
    return folders, seconds


def _say(start: str, line: str) -> None:
    say(start + line)


def _scores_of(peers: Any, name: str, sample: int | None, progress: Callable[[str], None]) -> dict[str, Any]:
    from benchmarks.peers_boosting import FAST_PAIRS, SAMPLED_PAIRS, each_category, pairs
    from benchmarks.peers_network import plain_network
    from propensity.evaluation.baselines import decayed_frequency, popularity
    from propensity.models.data import popularity_logits
    from propensity.pipeline.top_k import sigmoid

    window = peers.window
    if name == EACH:
        each = each_category(peers, sample, progress)
        return {EACH: each.scores, MODELLED: each.modelled}
    if name == PAIRS:
        return {PAIRS: pairs(peers, FAST_PAIRS if sample else SAMPLED_PAIRS)}
    if name == PLAIN:
        return {PLAIN: plain_network(peers, progress)}
    logits = popularity_logits(peers.everything())
    share = window.align(sigmoid(logits)[None], peers.encoder.history.categories.ids, np.float32(0))[0]
    if name == POPULARITY:
        return {POPULARITY: popularity(share, len(window.users))}
    lake = peers.tables.lake
    return {DECAYED: decayed_frequency(lake, REGION, window.cutoff, window.users, window.categories, share)}


def scores_folder(origin: Origin, name: str, sample: int | None) -> Path:
    """Return where a peer's scores are kept: named by the tables, the settings and the code that they are made by."""
    tables = tables_of(origin)
    cutoffs = [origin.cutoff - STEP * k for k in range(origin.windows + 1)]
    used = [ROOT / "benchmarks" / file for file in ("peers.py", CODE.get(name, "peers.py"))]
    code = [hashlib.sha256(path.read_bytes()).hexdigest() for path in (*used, ROOT / "src/propensity/models/history.py")]
    frequent = tables.config.models.min_feature_users, tables.config.models.min_category_users
    inputs = {"tables": tables.digests(cutoffs), "code": code, "frequent": frequent}
    digest = digest_of({**inputs, "sample": sample if name in SAMPLED else None})
    return tables.config.home / "evaluate" / f"{origin.cutoff}-{name}-{digest[:12]}"


def _keep(folder: Path, arrays: dict[str, Any]) -> None:
    temporary = folder.with_name(folder.name + ".tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    for name, array in arrays.items():
        np.save(temporary / f"{name}.npy", array)
    shutil.rmtree(folder, ignore_errors=True)
    temporary.rename(folder)


def read_peers(folders: Folders) -> tuple[dict[str, FloatArray], Any]:
    """Return every peer's scores (N, C), and which categories have an XGBoost model of their own (C,)."""
    modelled = np.load(folders[EACH] / f"{MODELLED}.npy")
    return {name: np.load(folder / f"{name}.npy") for name, folder in folders.items()}, modelled


def learn_all(
    judged: Sequence[Origin], more: Sequence[Origin], sample: int | None, force: bool, processes: int = PROCESSES
) -> tuple[dict[Origin, Path], dict[Origin, Folders], dict[str, float]]:
    """Learn everything, two models side by side; return bundles, the peers' scores, seconds by model."""
    seconds: dict[str, float] = {}
    folders: dict[Origin, Folders] = {origin: {} for origin in judged}
    with ProcessPoolExecutor(processes, get_context("spawn")) as pool:
        others = [(origin, pool.submit(learn_peers, origin, (PLAIN,), sample, force)) for origin in judged]
        ours = {origin: pool.submit(train_ours, origin, force) for origin in (*judged, *more)}
        others += [(origin, pool.submit(learn_peers, origin, QUICKER, sample, force)) for origin in judged]
        for origin, future in others:
            found, told = future.result()
            folders[origin].update(found)
            for name, spent in told.items():
                seconds[name] = seconds.get(name, 0.0) + spent
        bundles = {origin: future.result() for origin, future in ours.items()}
    seconds[OURS] = sum(spent for _, spent in bundles.values())
    return {origin: folder for origin, (folder, _) in bundles.items()}, folders, seconds
