"""A lake at the reference shape of the speed figures: feature rows of any number of customers, and a bundle of random weights.

Feature rows come a bucket at a time, each from its own random numbers, so memory does not grow with the customers.  A customer
has some words, log-normally many, Zipf-distributed; each word has six channels: 100 features on average.
"""

import datetime as dt
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import yaml

from benchmarks.reference import CATEGORIES, CHANNELS, FEATURES, HIDDEN, NON_ZEROS, TOP, reference_pipeline
from propensity.config import MAX_CHANNELS, Config, load_config
from propensity.contracts import FEATURES as TABLE
from propensity.contracts import TOKENS
from propensity.engine.worker_model import Champion
from propensity.features.csr import SparseBatch, to_arrow
from propensity.features.windows import RECENCY_DAYS
from propensity.models.golden import golden_of
from propensity.models.versions import bundle_folder
from propensity.pipeline.bundle import load_bundle, save_bundle
from propensity.quality.statistics import feature_statistics
from propensity.storage import DataFile, Lake

ROOT = Path(__file__).parents[2]
REGION, DAY = "reference", dt.date(2018, 1, 1)
FIELD = {"event_type": "purchase", "field": "category", "count": [7, 28, 91, 364], "recency": True, "interval": True}
SPREAD = 0.55
"""Standard deviation of the logarithm of a customer's words."""
LONGEST = 160
"""Words of one customer at most."""


@dataclass(frozen=True)
class Shape:
    """How large the lake is, and which network scores it."""

    users: int
    buckets: int = 16
    history: bool = False
    """Whether the network has the history path; the plain one is what peers compute."""
    features: int = FEATURES
    hidden: int = HIDDEN
    categories: int = CATEGORIES
    non_zeros: int = NON_ZEROS
    seed: int = 0

    def name(self) -> str:
        """Return what the lake's folder is called."""
        path = "both" if self.history else "plain"
        numbers = self.users, self.buckets, self.features, self.hidden, self.categories, self.non_zeros, self.seed
        return f"{path}-" + "-".join(map(str, numbers))


def reference_lake(home: Path, shape: Shape, precision: str = "float32", top: int | None = TOP) -> tuple[Lake, Champion]:
    """Return the lake of that shape below `home` and its champion; make what is not there."""
    lake = feature_lake(home, shape, precision, top)
    return lake, champion_of(lake, shape)


def feature_lake(home: Path, shape: Shape, precision: str = "float32", top: int | None = TOP) -> Lake:
    """Return the lake without a champion: that of another lake, whose network takes the same features, may score it."""
    folder = home / shape.name()
    lake = Lake(_configuration(folder, precision, top))
    if not lake.files(TABLE, region=REGION):
        _write_tokens(lake, shape)
        add_region(lake, shape, REGION)
    return lake


def add_region(lake: Lake, shape: Shape, region: str) -> None:
    """Write and commit a region's feature rows, whatever was there."""
    files = [_write_bucket(lake, shape, bucket, region) for bucket in range(shape.buckets)]
    lake.commit(TABLE, files, {"region": region, "score_date": DAY.isoformat()}, {})


def _configuration(folder: Path, precision: str, top: int | None) -> Config:
    conf = folder / f"conf-{precision}-{top}"
    shutil.copytree(ROOT / "conf", conf, dirs_exist_ok=True)
    _change(conf / "runtime.yaml", name="reference")
    _change(conf / "features.yaml", fields=[FIELD])
    _change(conf / "models.yaml", top_k=top, scoring={"precision": precision})
    (conf / "regions.yaml").write_text(yaml.safe_dump({"regions": {REGION: {"title": "random weights"}}}))
    return load_config(conf, folder / "home")


def _change(path: Path, **keys: object) -> None:
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | keys))


def _write_tokens(lake: Lake, shape: Shape) -> None:
    count = shape.features // len(CHANNELS) + 1
    words = [f"w{token}" for token in range(count)]
    columns = [np.arange(count, dtype=np.int32), ["purchase"] * count, ["category"] * count, words]
    table = pa.table(columns, schema=TOKENS.file_schema(lake.user_type))
    lake.append(TOKENS, [lake.write(TOKENS, {}, "reference", table, {})], {}, lake.version(TOKENS))


def _write_bucket(lake: Lake, shape: Shape, bucket: int, region: str) -> DataFile:
    users, batch = rows_of(shape, bucket)
    return write_rows(lake, region, bucket, users, batch)


def write_rows(lake: Lake, region: str, bucket: int, users: pa.Array, batch: SparseBatch) -> DataFile:
    """Write a bucket's file of feature rows, committed by nobody yet."""
    table = pa.table([users, *to_arrow(batch.check())], schema=TABLE.file_schema(lake.user_type))
    partition = {"region": region, "score_date": DAY.isoformat()}
    return lake.write(TABLE, partition, f"{bucket:05d}-reference", table, feature_statistics(batch, users))


def rows_of(shape: Shape, bucket: int) -> tuple[pa.Array, SparseBatch]:
    """Return a bucket's customers, ascending, and their feature rows."""
    random = np.random.default_rng([shape.seed, bucket])
    first, last = (shape.users * b // shape.buckets for b in (bucket, bucket + 1))
    words = shape.features // len(CHANNELS)
    popular = np.cumsum(1 / (np.arange(words) + 10.0) ** 1.05)
    middle = np.log(shape.non_zeros / len(CHANNELS)) - SPREAD**2 / 2
    count = np.clip(np.round(random.lognormal(middle, SPREAD, last - first)), 1, LONGEST).astype(np.int64)
    owner = np.repeat(np.arange(last - first), count)
    # Popular words are spread over the ids: what is popular need not be a category, nor lie side by side in memory.
    order = np.random.default_rng(shape.seed).permutation(words)
    word = order[np.searchsorted(popular, random.random(len(owner)) * popular[-1]).clip(0, words - 1)]
    owner, word = np.divmod(np.unique(owner * words + word), words)
    slots = np.arange(len(CHANNELS))
    indices = (word[:, None] * MAX_CHANNELS + slots).astype(np.int32)
    offsets = np.concatenate([[0], np.cumsum(np.bincount(owner, minlength=last - first) * len(slots))]).astype(np.int64)
    return pa.array(np.arange(first, last)), SparseBatch(indices.ravel(), _values(random, len(word)).ravel(), offsets)


def _values(random: np.random.Generator, count: int) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    """Return channels (count, 6) as features.yaml orders them: log1p of four windows' counts, recency, log1p of the interval."""
    longest = random.geometric(0.3, count)
    windows = [np.log1p(np.ceil(longest * share)) for share in (0.1, 0.3, 0.6, 1.0)]
    recency = np.exp(-random.integers(1, 91, count) / RECENCY_DAYS)
    return np.stack([*windows, recency, np.log1p(random.integers(1, 60, count))], axis=1).astype(np.float32)


def champion_of(lake: Lake, shape: Shape) -> Champion:
    """Return the champion of that shape in a lake; make it where it is not there."""
    version = "reference"
    folder = bundle_folder(lake.config, REGION, version)
    if not folder.is_dir():
        pipeline = reference_pipeline(shape.history, shape.features, shape.hidden, shape.categories)
        manifest = {"version": version, "region": REGION, "score_date": DAY.isoformat()}
        golden = golden_of(rows_of(shape, 0)[1], pipeline.predictor)
        save_bundle(folder, manifest, pipeline.steps, pipeline.predictor, golden)
    return Champion(version, load_bundle(folder).digest, folder)
