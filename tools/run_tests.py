"""`make test`: every test this machine can run, from the checkout, naming what was left out and why."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
BASE_IMAGE = ROOT / "chutes" / "base" / "build_base.py"


def main() -> int:
    docker = subprocess.run(["docker", "version"], capture_output=True, check=False).returncode == 0 if _has_docker() else False
    if (
        docker
        and subprocess.run([sys.executable, str(BASE_IMAGE)], check=False).returncode != 0
        and os.environ.get("CI") == "true"
    ):
        return 1
    return subprocess.run([sys.executable, "-m", "pytest", *sys.argv[1:]], cwd=ROOT, check=False).returncode


def _has_docker() -> bool:
    return any((Path(folder) / "docker").exists() for folder in os.environ.get("PATH", "").split(os.pathsep))


if __name__ == "__main__":
    sys.exit(main())
