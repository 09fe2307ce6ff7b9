"""python -m tests.fuzz [options of libFuzzer] CORPUS...: needs atheris."""

import sys

import atheris

with atheris.instrument_imports(include=["link", "tests.fuzz"]):
    from tests.fuzz.strangers import feed

if __name__ == "__main__":
    atheris.Setup(sys.argv, feed)
    atheris.Fuzz()
