"""Prepare the Complete Journey data: a year of real shopping as daily event files under the project's home."""

import argparse
import sys
from collections.abc import Mapping
from typing import Any

from door import add_common, run_job
from propensity.errors import ConfigError
from propensity.events.complete_journey import prepare
from propensity.storage import Lake


def body(lake: Lake, _arguments: argparse.Namespace) -> Mapping[str, Any]:
    """Write the daily files, unless they are there."""
    if lake.config.runtime.dataset is None:
        raise ConfigError("runtime.dataset names nothing to prepare", do="your own events need none: run jobs/land.py")
    counts = prepare(lake.config.home / "raw")
    return {**counts, "skipped": bool(counts["skipped"])}


def main() -> int:
    """Run the job."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    add_common(parser)
    return run_job(parser, body)


if __name__ == "__main__":
    sys.exit(main())
