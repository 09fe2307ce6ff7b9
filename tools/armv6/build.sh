#!/usr/bin/env bash
# Builds the extension, the C tests and the counter for the emulated processor: the wheel's sources, compiler and
# processor, for the soft-float calling convention of Debian armel, whose libraries an ARM1176 can run.
set -euo pipefail
cd "$(dirname "$0")/../.."
export PATH="$PWD/.venv/bin:$PATH"
here=build/armv6
[ -d $here/build ] || meson setup $here/build --cross-file tools/armv6/armel.ini >/dev/null
ninja -C $here/build >$here/build.log || { cat $here/build.log >&2 && exit 1; }
tools/stage.sh $here/package $here/build/_native.abi3.so
cc -O2 -Wall -Wextra -Wpedantic -Werror -fvisibility=hidden -fPIC -shared -o $here/count.so bench/armv6/count.c
