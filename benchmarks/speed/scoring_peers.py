"""What people score with today: Spark's own ways around a torch module, and Ray Data around our kernel.

Each takes a network as it was trained, with a `[yes, no]` softmax for each category, two tasks of one thread, batches large
enough that it gains nothing from larger ones, and writes the likeliest categories as Parquet by its engine's own writer.
"""

import os
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from benchmarks.reference import TOP
from benchmarks.speed.reference_lake import DAY, REGION
from propensity.contracts import FEATURES
from propensity.engine.worker_model import Champion
from propensity.models.loading import load_pipeline
from propensity.models.propensity import PropensityPredictor
from propensity.storage import Lake

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

BATCH = 1024
ROOT = Path(__file__).parents[2]
PYTHONPATH = os.pathsep.join([str(ROOT / "src"), str(ROOT)])
PADDED = 256
"""Features a customer has at most where rows have to be of equal length; the rest is cut off."""


class PairNetwork(nn.Module):
    """The plain network with two outputs a category."""

    def __init__(self, predictor: PropensityPredictor) -> None:
        super().__init__()
        weights = {name: torch.from_numpy(array.copy()) for name, array in predictor.weights.items()}
        self.embedding, self.bias = weights["embedding.weight"], weights["embedding_bias"]
        self.hidden, self.hidden_bias = weights["hidden.weight"], weights["hidden.bias"]
        half, half_bias = weights["output.weight"] / 2, weights["output.bias"] / 2
        self.output = torch.stack([half, -half], 1).flatten(0, 1)
        self.output_bias = torch.stack([half_bias, -half_bias], 1).flatten()

    def forward(self, bag: Tensor) -> Tensor:
        """Return the probabilities (B, C) of bags (B, H)."""
        first = torch.relu(bag + self.bias)
        second = torch.relu(nn.functional.linear(first, self.hidden, self.hidden_bias))
        pairs = nn.functional.linear(second, self.output, self.output_bias).view(len(bag), -1, 2)
        return torch.softmax(pairs, -1)[..., 0]


@cache
def _network(folder: Path, digest: str) -> tuple[PairNetwork, Any]:
    torch.set_num_threads(1)
    predictor: Any = load_pipeline(folder, digest).predictor
    return PairNetwork(predictor).eval(), predictor.encoder.features.table


def ray_data(lake: Lake, champion: Champion) -> Callable[[], object]:
    """Ray Data: our kernel over Arrow batches, two tasks at a time."""
    import ray
    from pyarrow.fs import LocalFileSystem

    ray.init(
        num_cpus=2, include_dashboard=False, configure_logging=False, log_to_driver=False,
        runtime_env={"env_vars": {"PYTHONPATH": PYTHONPATH}},
    )  # fmt: skip
    ray.data.DataContext.get_current().enable_progress_bars = False

    def score(batch: Any) -> Any:
        from benchmarks.speed import scoring_tasks

        scoring_tasks.prepare_once(lake, champion, "bfloat16")
        return scoring_tasks.score_table(batch)

    paths, target = _inputs(lake), str(lake.config.home / "ray")

    def scored(files: list[str]) -> Any:
        data = ray.data.read_parquet(files, columns=["user_id", "indices", "values"], filesystem=LocalFileSystem())
        return data.map_batches(score, batch_size=16 * BATCH, batch_format="pyarrow", concurrency=2)

    # Ray keeps the processes of finished tasks, and each keeps the model: loaded before the clock runs, as for the others.
    scored(paths[:4]).write_parquet(target, filesystem=LocalFileSystem())
    return lambda: scored(paths).write_parquet(target, filesystem=LocalFileSystem())


def predict_udf(lake: Lake, champion: Champion) -> Callable[[], object]:
    """Spark's predict_batch_udf: rows padded to PADDED features, which Spark turns into dense arrays."""
    from pyspark.ml.functions import predict_batch_udf
    from pyspark.sql import functions as sql
    from pyspark.sql import types

    spark = _spark()
    folder, digest = champion.folder, champion.digest

    def make() -> Callable[..., dict[str, Any]]:
        network, table = _network(folder, digest)

        def predict(indices: Any, values: Any) -> dict[str, Any]:
            rows = torch.from_numpy(np.maximum(table[np.ascontiguousarray(indices).astype(np.int64)], 0))
            weights = torch.from_numpy(np.ascontiguousarray(values, np.float32))
            with torch.inference_mode():
                bag = nn.functional.embedding_bag(rows, network.embedding, mode="sum", per_sample_weights=weights)
                best, ids = torch.topk(network(bag), TOP)
            return {"categories": ids.numpy().astype(np.int32), "scores": best.numpy()}

        return predict

    fields = [
        types.StructField("categories", types.ArrayType(types.IntegerType())),
        types.StructField("scores", types.ArrayType(types.FloatType())),
    ]
    score = predict_batch_udf(
        make, return_type=types.StructType(fields), batch_size=BATCH, input_tensor_shapes=[[PADDED], [PADDED]]
    )

    def padded(column: str, empty: Any) -> Any:
        return sql.slice(sql.concat(sql.col(column), sql.array_repeat(sql.lit(empty), PADDED)), 1, PADDED)

    rows = spark.read.parquet(*_inputs(lake)).repartition(2)
    columns = padded("indices", 0), padded("values", 0.0).cast("array<float>")
    return _written(rows.select("user_id", score(*columns).alias("one")).select("user_id", "one.*"), lake, "predict-udf")


def sparse_udf(lake: Lake, champion: Champion) -> Callable[[], object]:
    """Make a sparse tensor of each batch, in a pandas UDF."""
    from pyspark.sql import functions as sql

    spark = _spark()
    folder, digest = champion.folder, champion.digest

    def score(batches: Iterator[tuple[pd.Series, pd.Series]]) -> Iterator[pd.DataFrame]:
        network, table = _network(folder, digest)
        for indices, values in batches:
            found: list[tuple[Any, Any]] = []
            for at in range(0, len(indices), BATCH):
                ids, numbers = indices.iloc[at : at + BATCH], values.iloc[at : at + BATCH]
                owner = np.repeat(np.arange(len(ids)), [len(one) for one in ids])
                flat = table[np.concatenate(ids.to_list())]
                at_rows, weights = torch.from_numpy(np.stack([owner, flat])), torch.from_numpy(np.concatenate(numbers.to_list()))
                with torch.inference_mode():
                    shape = len(ids), len(network.embedding)
                    rows = torch.sparse_coo_tensor(at_rows, weights, shape)
                    best, top = torch.topk(network(torch.sparse.mm(rows, network.embedding)), TOP)
                found += zip(top.numpy().astype(np.int32), best.numpy(), strict=True)
            yield pd.DataFrame(found, columns=["categories", "scores"])

    stubs: Any = sql  # they leave pandas_udf out
    udf = stubs.pandas_udf(score, "categories array<int>, scores array<float>")
    rows = spark.read.parquet(*_inputs(lake)).repartition(2)
    return _written(rows.select("user_id", udf("indices", "values").alias("one")).select("user_id", "one.*"), lake, "sparse-udf")


def _inputs(lake: Lake) -> list[str]:
    files = lake.files(FEATURES, region=REGION, score_date=DAY.isoformat())
    return [str(Path(lake.path(FEATURES.name, file.path)).resolve()) for file in files]


def _written(rows: "DataFrame", lake: Lake, name: str) -> Callable[[], object]:
    target = str((lake.config.home / name).resolve())
    rows.limit(4 * BATCH).write.mode("overwrite").parquet(target)  # the workers load their model before the clock runs
    return lambda: rows.write.mode("overwrite").parquet(target)


def _spark() -> "SparkSession":
    from pyspark.sql import SparkSession

    os.environ.update(PYSPARK_PYTHON=sys.executable, OMP_NUM_THREADS="1", MKL_NUM_THREADS="1", SPARK_LOCAL_IP="127.0.0.1")
    os.environ["PYTHONPATH"] = PYTHONPATH
    settings = {
        "spark.driver.memory": "4g", "spark.ui.enabled": "false", "spark.ui.showConsoleProgress": "false",
        "spark.sql.execution.arrow.maxRecordsPerBatch": "16384", "spark.sql.shuffle.partitions": "8",
        "spark.sql.parquet.compression.codec": "zstd", "spark.python.worker.reuse": "true", "spark.log.level": "ERROR",
    }  # fmt: skip
    builder = SparkSession.builder.master("local[2]").appName("a peer")
    for key, value in settings.items():
        builder = builder.config(key, value)
    return builder.getOrCreate()
