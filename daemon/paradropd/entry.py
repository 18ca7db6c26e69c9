"""The console script: says which extra is missing instead of showing a traceback."""

from __future__ import annotations

import sys


def main() -> int:
    """Run the daemon. Returns its exit code."""
    try:
        from paradropd.main import run
    except ImportError as problem:
        print(f"paradropd: {problem}: install it with  pip install 'paradrop[daemon]'", file=sys.stderr)
        return 69  # EX_UNAVAILABLE of sysexits(3)
    return run(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
