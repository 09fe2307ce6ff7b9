#!/usr/bin/env bash
# Usage: tools/fuzz.sh [run|minimise|coverage]
#   run       (default) fuzzes every target for FUZZ_SECONDS each; new inputs go to build/corpus, crashes to build/crashes
#   minimise  rewrites the corpora (native/fuzz/corpus/NAME.tar, tests/fuzz/corpus): the smallest inputs of corpus and
#             build/corpus that reach the same coverage. Inputs with a name of their own (not a SHA-1) are kept.
#   coverage  prints libFuzzer's counts of each corpus: cov edges, ft features
set -euo pipefail
export LC_ALL=C
cd "$(dirname "$0")/.."
command=${1:-run}
[ -d build/fuzz ] || CC=clang-14 meson setup build/fuzz --buildtype=debugoptimized -Dlibfuzzer=true \
  -Db_sanitize=address,undefined -Db_lundef=false >/dev/null
ninja -C build/fuzz >/dev/null
rm -rf build/fuzz-scratch
mkdir -p build/crashes build/fuzz-scratch

pack() { # FOLDER ARCHIVE: the same inputs give the same bytes
  (cd "$1" && tar --format=ustar --mtime=@0 --owner=0 --group=0 --numeric-owner --mode=0644 -cf - -- *) >"$2"
}

fuzz() { # NAME MAX_LEN TARGET...: one target; its corpus lies in build/fuzz-scratch/NAME
  local name=$1 max_len=$2 corpus=build/fuzz-scratch/$1 found=build/corpus/$1 minimised=build/fuzz-scratch/$1.minimised
  shift 2
  mkdir -p "$found"
  case $command in
  run)
    "$@" -max_total_time="${FUZZ_SECONDS:-60}" -max_len="$max_len" -timeout=10 -artifact_prefix="build/crashes/$name-" \
      "$found" "$corpus" ;;
  minimise)
    mkdir -p "$minimised"
    find "$corpus" "$found" -type f -regextype posix-extended -not -regex '.*/[0-9a-f]{40}' -exec mv -t "$minimised" {} +
    "$@" -merge=1 -max_len="$max_len" "$minimised" "$corpus" "$found" >"$minimised.log" 2>&1
    echo "$name: $(ls "$minimised" | wc -l) inputs" ;;
  coverage)
    echo "$name: $(ls "$corpus" | wc -l) inputs," \
      "$("$@" -runs=0 -max_len="$max_len" "$corpus" 2>&1 | grep -aoE 'cov: [0-9]+ ft: [0-9]+' | tail -1)" ;;
  *)
    sed -n '2,6s/^# \?//p' "$0" >&2
    exit 2 ;;
  esac
}

for target in $(find build/fuzz/native/fuzz -maxdepth 1 -type f -perm -u+x -name 'fuzz_*' | sort); do
  name=$(basename "$target") && name=${name#fuzz_}
  archive=native/fuzz/corpus/$name.tar
  mkdir "build/fuzz-scratch/$name"
  [ ! -e "$archive" ] || tar -xf "$archive" -C "build/fuzz-scratch/$name" # a new target has none yet
  fuzz "$name" 65536 "$target"
  [ "$command" != minimise ] || pack "build/fuzz-scratch/$name.minimised" "$archive"
done
cp -r tests/fuzz/corpus build/fuzz-scratch/strangers
fuzz strangers 8192 .venv/bin/python -m tests.fuzz -rss_limit_mb=1024
[ "$command" != minimise ] || cp build/fuzz-scratch/strangers.minimised/* tests/fuzz/corpus
