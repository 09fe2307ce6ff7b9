"""python -m tests.fuzz [options of libFuzzer] CORPUS...: needs atheris."""

import sys

import atheris

with atheris.instrument_imports(include=["link", "tests.fuzz"]):
    from tests.fuzz.strangers import feed

if __name__ == "__main__":
    # -merge=1 starts its workers by this line.
    atheris.Setup([f"{sys.executable} -m tests.fuzz", *sys.argv[1:]], feed)
    atheris.Fuzz()
