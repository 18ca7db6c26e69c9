"""`make test`: every test this machine can run, from the checkout, naming what was left out and why.

Two processes share the tests, a file at a time: many of them wait for other programs.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from paradrop.base import settings
from paradropd.engine.choose import answers

ROOT = Path(__file__).parent.parent
BASE_IMAGE = ROOT / "chutes" / "base" / "build_base.py"


def main() -> int:
    if answers(settings.resolve().docker_socket):
        built = subprocess.run([sys.executable, str(BASE_IMAGE)], check=False).returncode == 0
        if not built and os.environ.get("CI") == "true":
            return 1
    shared = ["-n", "2", "--dist", "loadfile"]
    return subprocess.run([sys.executable, "-m", "pytest", *shared, *sys.argv[1:]], cwd=ROOT, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
