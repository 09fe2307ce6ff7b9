"""`python -m thinair.bench.tables`: see the package."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import thinair.bench.tables as package
from thinair.bench.analysis.run_files import write_text
from thinair.bench.tables.files import read_all
from thinair.bench.tables.measure import MEASUREMENTS, measure
from thinair.bench.tables.pages import readme_with, results_page
from thinair.link.errors import LinkError


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m thinair.bench.tables",
        description=package.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    measuring = actions.add_parser("measure", help="run the benches, and write one JSON file per table")
    measuring.add_argument("folder", type=Path, metavar="FOLDER", help="docs/results")
    measuring.add_argument("names", nargs="*", metavar="NAME", help=f"tables: {', '.join(MEASUREMENTS)}")
    writing = actions.add_parser("write", help="write the pages from the JSON files")
    writing.add_argument("folder", type=Path, metavar="FOLDER", help="docs/results")
    writing.add_argument("page", type=Path, metavar="PAGE", help="docs/results.md")
    writing.add_argument("readme", type=Path, metavar="README", help="README.md")
    arguments = parser.parse_args(argv)
    try:
        if arguments.action == "measure":
            measure(arguments.folder, arguments.names)
        else:
            results = read_all(arguments.folder)
            write_text(arguments.page, results_page(results))
            write_text(arguments.readme, readme_with(results, arguments.readme.read_text()))
    except LinkError as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return int(error.exit_code)
    return 0


if __name__ == "__main__":
    sys.exit(main())
