"""The tables of docs/results.md and README.md, made of the JSON files in docs/results/.

    python -m thinair.bench.tables measure docs/results [NAME ...]
    python -m thinair.bench.tables write docs/results docs/results.md README.md

`measure` runs the benches and keeps medians and percentiles, not frames; without names, all that `make bench-tables`
measures. `write` makes the pages; tests/project/test_results.py holds them to the files."""
