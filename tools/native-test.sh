#!/usr/bin/env bash
# C tests, corpus replay and the extension's own tests under ASan and UBSan; the C tests again under valgrind.
set -euo pipefail
cd "$(dirname "$0")/.."
[ -d build/asan ] || meson setup build/asan --buildtype=debugoptimized -Db_sanitize=address,undefined -Db_lundef=false >/dev/null
ninja -C build/asan >/dev/null
tools/stage.sh build/asan/package build/asan/_native.abi3.so
ASAN_OPTIONS=detect_leaks=1 UBSAN_OPTIONS=halt_on_error=1 meson test -C build/asan --print-errorlogs
# Python itself is not built for the sanitizers: their libraries are loaded first, and its own leaks are not looked for.
LD_PRELOAD="$(gcc -print-file-name=libasan.so) $(gcc -print-file-name=libubsan.so)" ASAN_OPTIONS=detect_leaks=0 \
  UBSAN_OPTIONS=halt_on_error=1 .venv/bin/python -m pytest -p no:cacheprovider -o pythonpath=build/asan/package \
  tests/native/test_io.py tests/native/test_seal.py tests/native/test_encrypted_io.py tests/native/test_core_binding.py tests/native/test_i420_to_bgrx.py tests/native/test_raw_to_i420.py tests/native/test_repair.py tests/native/test_watch.py tests/sender/hdmi/test_v4l2.py
[ -d build/plain ] || meson setup build/plain --buildtype=debugoptimized >/dev/null
meson test -C build/plain --suite unit --print-errorlogs --wrapper 'valgrind --quiet --error-exitcode=9 --leak-check=full'
