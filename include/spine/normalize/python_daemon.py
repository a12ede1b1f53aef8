"""The process from which Spark forks its Python workers, with their libraries imported once instead of in every worker.

A normalization asks for about ten workers, each of which would spend two seconds or more of processor time on the same imports, again
after every idle minute, since Spark ends idle workers. Spark starts it by name (`spark.python.daemon.module`). A process must not have
threads when it forks, so libraries are told to start none.
"""

from __future__ import annotations

import os
from importlib import import_module

SINGLE_THREADED = {
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "MALLOC_CONF": "background_thread:false",
    "JE_ARROW_MALLOC_CONF": "background_thread:false",
}
PRELOADED = ("pandas", "pyarrow.compute", "phonenumbers", "pyspark.worker", "spine.normalize.scripts", "spine.normalize.regions")


def preload() -> None:
    """Import what workers need, without a thread."""
    for name, value in SINGLE_THREADED.items():
        os.environ.setdefault(name, value)
    for name in PRELOADED:
        import_module(name)


if __name__ == "__main__":
    preload()
    import_module("pyspark.daemon").manager()
