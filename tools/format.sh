#!/usr/bin/env bash
# Formats the C sources by .clang-format. --check: reports what would change, and fails. Without clang-format-14 it passes,
# and says so.
set -euo pipefail
cd "$(dirname "$0")/.."
command -v clang-format-14 >/dev/null || {
  echo "clang-format-14 is not installed (tools/setup.sh test): C formatting not checked" >&2
  exit 0
}
options=(-i)
[ "${1:-}" != --check ] || options=(--dry-run --Werror)
git ls-files -z '*.c' '*.h' | xargs -0 clang-format-14 "${options[@]}"
