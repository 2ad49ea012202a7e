"""Write a home for the online service that needs no landed data: bundles of random networks, one of them champion.

A process of its own, because the reference model brings torch along, which the service does without.  Prints bodies to send.
"""

import argparse
import datetime as dt
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import yaml

from propensity.config import Config, load_config
from propensity.models import registry
from propensity.models.versions import bundle_folder
from propensity.pipeline.bundle import Golden, save_bundle
from propensity.storage import Lake

REGION, TOP, BODIES = "reference", 50, 64
VERSIONS = ("reference-0", "reference-1")
DAY = dt.date(2018, 1, 1)
FIELD = {"event_type": "purchase", "field": "category", "count": [7, 28, 91, 364], "recency": True, "interval": True}
ROOT = Path(__file__).parents[1]


def write_home(folder: Path, port: int, features: int, hidden: int, categories: int) -> tuple[Config, list[bytes]]:
    """Write the home in a process of its own; return its configuration and the bodies to send."""
    numbers = [str(number) for number in (port, features, hidden, categories)]
    command = [sys.executable, "-m", "benchmarks.online_home", str(folder), *numbers]
    written = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE)
    return load_config(folder / "conf", folder / "home"), written.stdout.splitlines()


def crown(lake: Lake, version: str, digest: str) -> None:
    """Make a version the champion."""
    registry.crown(lake, REGION, registry.champion(lake, REGION), version, digest, DAY, "for a benchmark")


def _make_config(folder: Path, port: int) -> Config:
    """Write a configuration whose features are the reference model's, and load it with its home below `folder`."""
    conf = Path(shutil.copytree(ROOT / "conf", folder / "conf"))
    _change(conf / "runtime.yaml", name="reference", serving={"port": port})
    _change(conf / "features.yaml", fields=[FIELD])
    (conf / "regions.yaml").write_text(yaml.safe_dump({"regions": {REGION: {"title": "random weights"}}}))
    return load_config(conf, folder / "home")


def _change(path: Path, **keys: object) -> None:
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | keys))


def main() -> None:
    """Write the configuration and the versions, which differ in what they score; crown the first."""
    from benchmarks.reference import reference_pipeline, reference_requests
    from propensity.models.propensity import PropensityPredictor

    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("numbers", type=int, nargs=4, metavar="port features hidden categories".upper().replace(" ", "_"))
    arguments = parser.parse_args()
    port, features, hidden, categories = arguments.numbers
    config = _make_config(arguments.folder, port)
    pipeline = reference_pipeline(True, features, hidden, categories)
    network = pipeline.predictor
    if not isinstance(network, PropensityPredictor):
        raise TypeError("the reference model is a propensity network")
    rows = pipeline.prepare([json.loads(text) for text in reference_requests(pipeline, 4, seed=7)])
    for at, version in enumerate(VERSIONS):
        shifted = network.weights["output.bias"] + np.float32(at)
        predictor = PropensityPredictor(network.encoder, {**network.weights, "output.bias": shifted})
        manifest = {"version": version, "region": REGION, "score_date": DAY.isoformat()}
        golden = Golden(rows, predictor.predict_batch(rows))
        digest = save_bundle(bundle_folder(config, REGION, version), manifest, pipeline.steps, predictor, golden)
        if at == 0:
            crown(Lake(config), version, digest)
    for text in reference_requests(pipeline, BODIES):
        print(f'{{"features":{text},"top_k":{TOP}}}')


if __name__ == "__main__":
    main()
