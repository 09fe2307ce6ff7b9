#!/usr/bin/env bash
# libFuzzer on every target for FUZZ_SECONDS each; what it finds stays in build/corpus, crashes in build/crashes.
set -euo pipefail
cd "$(dirname "$0")/.."
[ -d build/fuzz ] || CC=clang-14 meson setup build/fuzz --buildtype=debugoptimized -Dlibfuzzer=true \
  -Db_sanitize=address,undefined -Db_lundef=false >/dev/null
ninja -C build/fuzz >/dev/null
mkdir -p build/crashes
for target in build/fuzz/native/fuzz/fuzz_*; do
  [ -x "$target" ] && [ -f "$target" ] || continue
  name=$(basename "$target")
  mkdir -p "build/corpus/$name"
  "$target" -max_total_time="${FUZZ_SECONDS:-60}" -max_len=65536 -timeout=10 -artifact_prefix="build/crashes/$name-" \
    "build/corpus/$name" "native/fuzz/corpus/${name#fuzz_}"
done
mkdir -p build/corpus/strangers
.venv/bin/python -m tests.fuzz -max_total_time="${FUZZ_SECONDS:-60}" -max_len=8192 -timeout=10 -rss_limit_mb=1024 \
  -artifact_prefix=build/crashes/strangers- build/corpus/strangers tests/fuzz/corpus
