#!/usr/bin/env bash
# Builds thinair-...-cp311-abi3-linux_armv6l.whl and refuses it if an ARM1176 could not run it or a hard-float Python could
# not import it. Usage: tools/armv6/wheel.sh [armhf|armel]; armel is the same code for the soft-float calling convention,
# which is what a processor of that kind can be emulated with.
set -euo pipefail
cd "$(dirname "$0")/../.."
abi=${1:-armhf}
here=build/armv6
out=$here/wheel-$abi
rm -rf "$out"
# Without isolation: the platform named here would otherwise be that of the build's own tools, too.
PATH="$PWD/.venv/bin:$PATH" _PYTHON_HOST_PLATFORM=linux-armv6l .venv/bin/pip wheel --quiet --disable-pip-version-check \
  --no-build-isolation --no-deps --wheel-dir "$out" \
  --config-settings=build-dir=$here/build-wheel-$abi --config-settings=setup-args=--cross-file="$PWD/tools/armv6/$abi.ini" .
wheel=$(echo "$out"/*.whl)
[ "$abi" = armhf ] || { echo "$wheel" && exit 0; }
.venv/bin/python tools/armv6/check_code.py "$wheel"
# Debian's armhf libraries are ARMv7, so the emulated processor is a newer one: shown are the calling convention and the
# import. Running on an ARM1176 is what `make test-armv6` shows.
rm -rf $here/unpacked
.venv/bin/python -m zipfile -e "$wheel" $here/unpacked
PYTHONPATH=$here/unpacked qemu-arm -cpu max -L $here/armhf $here/armhf/usr/bin/python3.11 -c '
import thinair._native, thinair.link.native, thinair.sender.service, thinair.cli
assert thinair._native.now_us() > 0
print("imported by a hard-float Python")'
mkdir -p dist
cp "$wheel" dist/
echo "dist/$(basename "$wheel")"
