"""`make audit`: what we are made of (`.spine/sbom.json`, CycloneDX), and which of it has known holes, asked of PyPI's advisories.

Needs the network, so it is no part of `make test`. The tools are locked in audit-requirements.txt and get an environment of their own.
Exit code 1 where a hole is known, 2 where nothing could be asked.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
HOME = Path(os.environ.get("SPINE_HOME", ROOT / ".spine")).expanduser().resolve()
UV = HOME / "bootstrap" / "bin" / "uv"
TOOLS = HOME / "audit"
LOCK = ROOT / "scripts" / "audit-requirements.txt"
SBOM = HOME / "sbom.json"


def main() -> int:
    """The list first, since it needs no network once the tools are there."""
    requirements = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "requirements.txt"
    if not install():
        print("audit: the tools could not be installed: run it again with network, after `make setup`", file=sys.stderr)
        return 2
    listed = [str(TOOLS / "bin" / "cyclonedx-py"), "requirements", str(requirements), "--pyproject", str(ROOT / "pyproject.toml")]
    done = subprocess.run([*listed, "--output-reproducible", "--of", "JSON", "-o", str(SBOM)], check=False)
    if done.returncode != 0:
        print("audit: the list of components could not be written", file=sys.stderr)
        return 2
    print(f"audit: {SBOM} written")
    # Strict: a package that could not be asked for is no package without a hole.
    asked = [str(TOOLS / "bin" / "pip-audit"), "--strict", "--disable-pip", "--require-hashes", "--progress-spinner", "off"]
    found = subprocess.run([*asked, "--requirement", str(requirements)], capture_output=True, text=True, check=False)
    print(found.stdout, end="")
    if found.returncode == 0:
        print("audit: no known hole")
        return 0
    known = "known vulnerabilit" in found.stderr
    last = (found.stderr.strip().splitlines() or ["no word"])[-1]
    print(f"audit: {last}" if known else f"audit: the advisories could not be asked ({last}); run it again with network", file=sys.stderr)
    return 1 if known else 2


def install() -> bool:
    """Exactly the locked tools; True if they are there."""
    made = TOOLS / "made-from"
    if made.is_file() and made.read_text() == LOCK.read_text():
        return True
    steps = (
        [str(UV), "venv", "--quiet", "--clear", "--python", sys.executable, str(TOOLS)],
        [str(UV), "pip", "sync", "--quiet", "--require-hashes", "--python", str(TOOLS), str(LOCK)],
    )
    if not UV.is_file() or any(subprocess.run(step, check=False).returncode for step in steps):
        return False
    made.write_text(LOCK.read_text())
    return True


if __name__ == "__main__":
    sys.exit(main())
