#!/usr/bin/env bash
# Makes FOLDER/thinair: the package of the source tree with another build of the extension.
# Usage: tools/stage.sh FOLDER EXTENSION
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
extension=$(realpath "$2")
rm -rf "$1/thinair"
mkdir -p "$1/thinair"
for part in "$root"/thinair/*; do
  case ${part##*/} in __pycache__ | _native.abi3.so) ;; *) ln -s "$(realpath "$part")" "$1/thinair/" ;; esac
done
ln -s "$extension" "$1/thinair/_native.abi3.so"
