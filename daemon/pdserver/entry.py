"""The ``pdserver`` console script: works without the extra ``server``, to say that it is missing."""

from __future__ import annotations

import sys


def main() -> int:
    """Run :mod:`pdserver.cli`; exit code 78 (EX_CONFIG of sysexits(3)) when the extra is not installed."""
    try:
        from pdserver.cli import main as run
    except ImportError as problem:
        print(f"pdserver: {problem}. Install it with: pip install 'paradrop[server]'", file=sys.stderr)
        return 78
    return run(sys.argv[1:])
