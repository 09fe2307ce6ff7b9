#!/usr/bin/env bash
# C tests, corpus replay and the extension's own tests under ASan and UBSan; the C tests again under valgrind.
set -euo pipefail
cd "$(dirname "$0")/.."
[ -d build/asan ] || meson setup build/asan --buildtype=debugoptimized -Db_sanitize=address,undefined -Db_lundef=false >/dev/null
ninja -C build/asan >/dev/null
ASAN_OPTIONS=detect_leaks=1 UBSAN_OPTIONS=halt_on_error=1 meson test -C build/asan --print-errorlogs
# Python itself is not built for the sanitizers: their libraries are loaded first, and its own leaks are not looked for.
LD_PRELOAD="$(gcc -print-file-name=libasan.so) $(gcc -print-file-name=libubsan.so)" ASAN_OPTIONS=detect_leaks=0 \
  UBSAN_OPTIONS=halt_on_error=1 PYTHONPATH=build/asan .venv/bin/python -m pytest -p no:cacheprovider \
  tests/unit/test_io.py tests/unit/test_seal.py tests/unit/test_sealed_io.py tests/unit/test_core_binding.py tests/unit/test_convert.py tests/unit/test_raw.py tests/unit/test_repair.py tests/unit/test_watch.py tests/unit/test_v4l2.py
[ -d build/plain ] || meson setup build/plain --buildtype=debugoptimized >/dev/null
meson test -C build/plain --suite unit --print-errorlogs --wrapper 'valgrind --quiet --error-exitcode=9 --leak-check=full'
