"""The Spark session: started when a job first needs it, one in a process."""

import os
import shutil
import sys
from pathlib import Path

from py4j.protocol import Py4JError
from pyspark import SparkContext
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from propensity.config import Config
from propensity.errors import MachineError

JAVA_LINE = "install Java 17: apt-get install openjdk-17-jre-headless, or set JAVA_HOME"
PACKAGE = Path(__file__).parents[2]
"""The folder that workers import the library from."""

LOGGING = Path(__file__).with_name("log4j2.properties")
QUICK_START = f"-XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Xshare:auto -Dlog4j2.configurationFile={LOGGING.as_uri()}"
"""The JVM only shuffles bytes and starts tasks: a quick start matters, its compiler does not."""


def spark_context(config: Config) -> SparkContext:
    """Return the running Spark context, starting it the first time; raise MachineError when there is no Java."""
    if shutil.which("java") is None and not (Path(os.environ.get("JAVA_HOME", "/nowhere")) / "bin" / "java").exists():
        raise MachineError("no Java found, which Spark needs", where="engine", do=JAVA_LINE)
    # Workers take the system's Python unless told.  One thread a task: two tasks of one thread score twice what one of two does.
    os.environ.update(
        PYSPARK_PYTHON=sys.executable,
        PYTHONPATH=os.pathsep.join(filter(None, [str(PACKAGE), os.environ.get("PYTHONPATH")])),
        OMP_NUM_THREADS="1",
        MKL_NUM_THREADS="1",
        OPENBLAS_NUM_THREADS="1",
        SPARK_LOCAL_IP="127.0.0.1",
    )
    builder = SparkSession.builder.master(config.runtime.spark.master).appName(f"propensity {config.runtime.name}")
    for key, value in _properties(config).items():
        builder = builder.config(key, value)
    try:
        session = builder.getOrCreate()
    except (PySparkException, Py4JError) as error:
        raise MachineError(f"Spark did not start: {error}", where=config.runtime.spark.master, do=JAVA_LINE) from error
    session.sparkContext.setLogLevel("ERROR")
    return session.sparkContext


def _properties(config: Config) -> dict[str, str]:
    spark = config.runtime.spark
    return {
        "spark.driver.memory": spark.driver_memory,
        "spark.driver.extraJavaOptions": QUICK_START,
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.sql.warehouse.dir": str(config.home / "spark-warehouse"),
        **spark.options,
    }
