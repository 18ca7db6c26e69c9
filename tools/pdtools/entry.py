"""The console script. It is installed without the extra too, and then says what to install."""

from __future__ import annotations

import sys

OURS = ("paradrop", "pdtools")


def main() -> int:
    """Run the command line and return its exit code."""
    try:
        from pdtools.run import run
    except ImportError as missing:
        if (missing.name or "").partition(".")[0] in OURS:
            raise
        print(f"pdtools cannot find {missing.name or missing}: pip install 'paradrop[tools]'", file=sys.stderr)
        return 1
    from twisted.internet import reactor  # noqa: TID251 - the entry point is where it comes from

    return run(sys.argv[1:], reactor)


if __name__ == "__main__":
    sys.exit(main())
