"""Run the benchmarks: ``python -m benchmarks [--smoke] [name …]``.

Every number is measured or computed in this run. Times depend on the machine: read the ratios, to a floor, to a peer or
to a plainer way, which stand beside them.
"""

from __future__ import annotations

import argparse
import importlib
from pathlib import Path

NAMES = sorted(path.stem for path in Path(__file__).parent.glob("[a-z]*.py"))


def main() -> None:
    """Run the named benchmarks, or all of them."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="name", help=f"of {', '.join(NAMES)}; all if none is named")
    parser.add_argument("--smoke", action="store_true", help="tiny sizes: shows that the benchmarks run")
    arguments = parser.parse_args()
    unknown = set(arguments.names) - set(NAMES)
    if unknown:
        parser.error(f"unknown benchmark {sorted(unknown)}: choose from {NAMES}")
    for name in arguments.names or NAMES:
        module = importlib.import_module(f"benchmarks.{name}")
        print(f"\n== {name}: {(module.__doc__ or '').splitlines()[0]}", flush=True)
        module.main(smoke=arguments.smoke)


if __name__ == "__main__":
    main()
