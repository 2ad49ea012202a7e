"""The online service on this machine, until it is interrupted."""

import logging
import os
import sys

import uvicorn
from rich.console import Console

from ops.process import check_port, interruptible
from propensity.config import Config, load_config
from propensity.serving.answers import RegionStatus
from propensity.serving.app import create_app
from propensity.serving.regions import Regions
from propensity.storage import Lake

FACTORY = "propensity.serving.app:from_environment"
GRACE_SECONDS = 10
"""How long open requests may take after the service was told to end."""


def serve(console: Console) -> None:
    """Say what is served and serve it until Ctrl-C or SIGTERM; open requests are finished."""
    config = load_config()
    settings = config.runtime.serving
    check_port(settings.port, "the online service", "end that program, or set serving.port in runtime.yaml")
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    regions = Regions(Lake(config))
    regions.refresh()
    tell(console, config, regions.status())
    try:
        with interruptible():
            _run(config, regions)
    except KeyboardInterrupt:
        pass  # uvicorn has finished what was open and passes the signal on
    console.print("The service has stopped.")


def tell(console: Console, config: Config, status: list[RegionStatus]) -> None:
    """Print the address and what each region is served by."""
    settings = config.runtime.serving
    console.print(f"Online service   http://{settings.host}:{settings.port}   (docs at /docs)", highlight=False)
    for region in status:
        served = f"version {region.version}, {region.categories} categories, user ids as of {region.score_date}"
        console.print(f"  {region.region:12} {served if region.serving else f'not served: {region.reason}'}", highlight=False)
    if not any(region.serving for region in status):
        console.print("Not ready: no region has a model. To do: run make demo first; a promotion is noticed by itself.")
    console.print("Ctrl-C stops it.")


def _run(config: Config, regions: Regions) -> None:
    """Run one process, this one, or several."""
    settings = config.runtime.serving
    common = {
        "host": settings.host,
        "port": settings.port,
        "log_level": "warning",
        "access_log": settings.access_log,
        "timeout_graceful_shutdown": GRACE_SECONDS,
        "server_header": False,
    }
    if settings.workers == 1:
        uvicorn.run(create_app(regions), **common)  # type: ignore[arg-type]
        return
    os.environ |= {"PROPENSITY_CONF": str(config.folder), "PROPENSITY_HOME": str(config.home.parent)}
    uvicorn.run(FACTORY, factory=True, workers=settings.workers, **common)  # type: ignore[arg-type]
