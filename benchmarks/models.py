"""Memory and time of the models, beside the official ones and beside attention: `make bench-models`.

    python benchmarks/models.py [--quick] [--only NAME]

``--quick`` prints the first table only, ``--only vin`` one part of it; the whole also goes to
benchmarks/results/models.md.
"""

from __future__ import annotations

import argparse
import warnings

warnings.simplefilter("ignore")

import against_official


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", choices=against_official.NAMES)
    options = parser.parse_args()
    names = (options.only,) if options.only else against_official.NAMES
    for line in against_official.lines(names):
        print(line, flush=True)


if __name__ == "__main__":
    main()
