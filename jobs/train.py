"""Train a region's model: choose the epochs on the validation window, refit, save the bundle."""

import argparse
import sys
from collections.abc import Mapping
from typing import Any

from door import parser, run_job
from propensity.features.windows import training_cutoffs
from propensity.models.data import TrainingTables
from propensity.models.versions import bundle_folder, inputs_digest, version_name
from propensity.pipeline.bundle import load_bundle
from propensity.storage import Lake


def body(lake: Lake, arguments: argparse.Namespace) -> Mapping[str, Any]:
    """Train unless the version that these inputs make is there, intact."""
    tables = TrainingTables(lake, arguments.region)
    cutoffs = training_cutoffs(lake.config, arguments.score_date)
    version = version_name(arguments.score_date, inputs_digest(lake.config, tables.digests(cutoffs)))
    folder = bundle_folder(lake.config, arguments.region, version)
    if folder.is_dir() and not arguments.force and arguments.device != "cuda":
        bundle = load_bundle(folder)
        shape, epochs = bundle.manifest["shape"], bundle.manifest["training"]["epochs"]
        return _verdict(True, version, bundle.digest, epochs, shape["features"], shape["categories"])
    # Imported here: a run with nothing to do need not load torch.
    from propensity.models.distributed import joined, launch, launched
    from propensity.models.recipe import train
    from propensity.models.training import resolve_device

    device = resolve_device(arguments.device)
    if arguments.processes > 1 and not launched():
        return launch(__file__, sys.argv[1:], arguments.processes)
    with joined(device) as team:
        made = train(tables, arguments.score_date, arguments.device, _told if team.rank == 0 else _silent, team)
    if team.rank:
        sys.exit(0)  # the first process reports
    return _verdict(False, made.version, made.digest, made.epochs, made.features, made.categories)


def _verdict(skipped: bool, version: str, digest: str, epochs: int, features: int, categories: int) -> Mapping[str, Any]:
    counts = {"epochs": epochs, "features": features, "categories": categories}
    return {"skipped": skipped, "version": version, "digest": digest, **counts}


def _told(line: str) -> None:
    print(line, flush=True)


def _silent(_: str) -> None:
    pass


def main() -> int:
    """Run the job."""
    result = parser(__doc__)
    result.add_argument("--device", choices=("cpu", "cuda", "auto"), default="auto", help="where to train")
    result.add_argument("--processes", type=int, default=1, help="train in so many processes of this machine, by torchrun")
    return run_job(result, body)


if __name__ == "__main__":
    sys.exit(main())
