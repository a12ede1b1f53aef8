"""What `make demo` costs: seconds and peak memory of the first and the second time, in a fresh clone.

`python benchmarks/demo.py [--folder DIR]` clones this checkout, runs the demo twice and stops the stack. Memory is the proportional set
size (PSS) of every process that works in the clone, so pages that forked workers share count once. Linux only.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import tempfile
import threading
import time
from pathlib import Path

import psutil

PROJECT = Path(__file__).resolve().parents[1]


def pss_of(folder: Path) -> int:
    """Bytes of all processes whose command or environment names the folder."""
    total = 0
    for process in psutil.process_iter():
        try:
            place = f"{' '.join(process.cmdline())} {process.environ().get('SPINE_HOME', '')} {process.cwd()}"
            if str(folder) in place:
                total += process.memory_full_info().pss
        except (psutil.Error, OSError):
            continue
    return total


def timed(word: str, folder: Path) -> tuple[float, int, int]:
    """Seconds, peak bytes and exit code of `make <word>`."""
    peak, done = 0, threading.Event()

    def sample() -> None:
        nonlocal peak
        while not done.wait(1.0):
            peak = max(peak, pss_of(folder))

    sampler = threading.Thread(target=sample)
    sampler.start()
    began = time.monotonic()
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("SPINE_", "AIRFLOW", "VIRTUAL_ENV"))}
    code = subprocess.run(["make", word], cwd=folder, env=kept, check=False).returncode
    seconds = time.monotonic() - began
    done.set()
    sampler.join()
    return seconds, peak, code


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, help="where to clone to; a temporary folder by default, which is kept")
    folder = parser.parse_args().folder or Path(tempfile.mkdtemp(prefix="spine-demo-")) / "clone"
    subprocess.run(["git", "clone", "--quiet", str(PROJECT), str(folder)], check=True)
    results = [(which, *timed("demo", folder)) for which in ("first", "second")]
    for which, seconds, peak, code in results:
        print(f"{which:<7} {seconds:6.0f} s   peak {peak / 1e9:.2f} GB   exit code {code}")
    print(f"The stack of {folder} still runs; stop it with `make -C {folder} down`.")


if __name__ == "__main__":
    main()
