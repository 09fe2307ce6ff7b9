#!/usr/bin/env bash
# C tests and corpus replay under ASan and UBSan; the C tests again under valgrind in a plain build.
set -euo pipefail
cd "$(dirname "$0")/.."
[ -d build/asan ] || meson setup build/asan --buildtype=debugoptimized -Db_sanitize=address,undefined -Db_lundef=false >/dev/null
ASAN_OPTIONS=detect_leaks=1 UBSAN_OPTIONS=halt_on_error=1 meson test -C build/asan --print-errorlogs
[ -d build/plain ] || meson setup build/plain --buildtype=debugoptimized >/dev/null
meson test -C build/plain --suite unit --print-errorlogs --wrapper 'valgrind --quiet --error-exitcode=9 --leak-check=full'
