"""The Spark context: started when a job first needs it, one in a process."""

import atexit
import os
import shutil
import sys
import tempfile
from functools import cache
from pathlib import Path

from py4j.protocol import Py4JError
from pyspark import SparkConf, SparkContext
from pyspark.errors import PySparkException

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
    # Workers take the system's Python unless told.
    os.environ.update(PYSPARK_PYTHON=sys.executable, SPARK_LOCAL_IP="127.0.0.1", **_worker_environment())
    conf = SparkConf().setMaster(config.runtime.spark.master).setAppName(f"propensity {config.runtime.name}")
    try:
        # Not a SparkSession: it loads Spark's SQL, which nothing here uses, and asked again for the running one takes 0.3 s.
        context = SparkContext.getOrCreate(conf.setAll(list(_properties(config).items())))
    except (PySparkException, Py4JError) as error:
        raise MachineError(f"Spark did not start: {error}", where=config.runtime.spark.master, do=JAVA_LINE) from error
    context.setLogLevel("ERROR")
    return context


def _worker_environment() -> dict[str, str]:
    """Return what a worker's Python needs: the library, and one thread, as two tasks of one score twice what one of two does."""
    others = filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))
    path = dict.fromkeys([str(PACKAGE), *(str(Path(folder).resolve()) for folder in others)])  # executors work elsewhere
    threads = dict.fromkeys(["OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"], "1")
    return {"PYTHONPATH": os.pathsep.join(path), **threads}


def _properties(config: Config) -> dict[str, str]:
    spark = config.runtime.spark
    return {
        # In local mode workers inherit it; the executors of a cluster are started by daemons that know nothing of this process.
        **{f"spark.executorEnv.{name}": value for name, value in _worker_environment().items()},
        "spark.driver.memory": spark.driver_memory,
        "spark.driver.extraJavaOptions": QUICK_START,
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        # Over TCP a task waits 40 ms for an acknowledgement that the kernel delays: 47 ms each before any work, 4 this way.
        "spark.python.unix.domain.socket.enabled": "true",
        "spark.python.daemon.module": "propensity.engine.daemon",
        **({"spark.python.unix.domain.socket.dir": _sockets()} if spark.master.startswith("local") else {}),
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        **spark.options,
    }


@cache
def _sockets() -> str:
    """Return this process's folder for sockets, gone when it ends: Spark leaves one behind in the JVM's own in each session.

    A socket's path has at most 107 bytes, so the folder is none of the project's.
    """
    folder = tempfile.mkdtemp(prefix="propensity-", dir="/tmp")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder
