# The two commands of the README are `make demo` and `make test`; each sets up all it needs.
PY := .venv/bin/python
ARGS ?=
HOURS ?= 0.5

.PHONY: demo test test-vm vm check quick snapshots lint bench bench-tables bench-soak gate bench-setup native-test fuzz test-long test-armv6 wheel wheel-armv6 clean

demo: setup-run
	.venv/bin/thinair demo $(ARGS)

test: setup-test vm lint native-test gate
	$(PY) -m pytest -m "not long" --durations=10

# Real V4L2 and HDMI drivers, in a guest: tests/vm/README.md.
test-vm: setup-test vm
	$(PY) -m pytest tests/vm -m "not long"

vm: setup-test
	@tools/vm-setup.sh

# The C tests, the sender's tests and the instruction counts on an emulated ARM1176, the Pi Zero W's processor: docs/armv6.md.
test-armv6: setup-test
	tools/armv6/setup.sh test
	tools/armv6/test.sh
	$(PY) -m thinair.bench.armv6

# The wheel for machines like this one, in dist/: `pip install dist/*.whl` brings all that `thinair demo` needs.
wheel: setup-run
	.venv/bin/pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir dist .

# The wheel for the Pi Zero W, in dist/.
wheel-armv6: setup-test
	tools/armv6/setup.sh wheel
	tools/armv6/wheel.sh

# Within a minute, without display, Chromium, QEMU, GStreamer, namespaces or sanitizer build: the linters beside the tests.
check: setup-check
	@$(MAKE) --no-print-directory -j2 lint quick

quick: setup-check
	$(PY) -m pytest -m "quick and not slow and not long" -x --ignore tests/vm --ignore tests/browser --ignore tests/peers --ignore tests/system

# Writes what reviews read: tests/commands/help.txt, tests/project/messages.txt, docs/configuration.md.
snapshots: setup-check
	$(PY) -m tests.support.catalogue

lint: setup-check
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	tools/format.sh --check
	.venv/bin/mypy

# C tests and the fuzz corpus under ASan and UBSan, then the C tests under valgrind.
native-test: setup-test
	PATH="$(CURDIR)/.venv/bin:$$PATH" tools/native-test.sh

# One libFuzzer run per target, SECONDS each, growing the corpus in build/corpus.
fuzz: setup-test
	PATH="$(CURDIR)/.venv/bin:$$PATH" tools/fuzz.sh

test-long: test
	THINAIR_SEED=random $(PY) -m pytest --ignore tests/system --ignore tests/vm --ignore tests/browser --ignore tests/peers -m "not long"
	$(PY) -m pytest -m long
	FUZZ_SECONDS=1200 $(MAKE) fuzz

# Every hot piece by itself, against the committed baseline: instructions anywhere, times on the baseline's machine.
bench: setup-test bench-setup
	@mkdir -p build
	$(PY) -m pytest thinair/bench/suite -p no:cacheprovider --benchmark-json=build/bench.json --benchmark-save-data
	.venv/bin/thinair bench compare bench/suite/baseline.json build/bench.json

# Measures the tables of docs/results.md and README.md, about 33 minutes on a quiet machine, and writes both pages.
bench-tables: setup-test bench-setup
	$(PY) -m thinair.bench.tables measure docs/results
	$(PY) -m thinair.bench.tables write docs/results docs/results.md README.md

# Half an hour with a fault every twenty seconds, and its table; HOURS=8 for a night, without a table.
bench-soak: setup-test bench-setup
ifeq ($(HOURS),0.5)
	$(PY) -m thinair.bench.tables measure docs/results soak
	$(PY) -m thinair.bench.tables write docs/results docs/results.md README.md
else
	@mkdir -p build
	.venv/bin/thinair bench soak --hours $(HOURS) --every 20 --json build/soak.json
endif

# The limits of docs/latency-budget.toml that do not depend on the machine: instructions, the simulated link.
gate: setup-test
	.venv/bin/thinair bench gate --budget docs/latency-budget.toml

bench-setup: setup-test
	tools/bench-setup.sh

setup-%:
	@tools/setup.sh $*

clean:
	rm -rf build dist .venv .make
