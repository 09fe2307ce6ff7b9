#!/usr/bin/env bash
# The C tests, the sender's Python tests, and the instruction counts, all on an emulated ARM1176. Arguments go to pytest.
set -euo pipefail
cd "$(dirname "$0")/../.."
here=$PWD/build/armv6
tools/armv6/build.sh
PATH="$PWD/.venv/bin:$PATH" meson test -C $here/build --no-rebuild --suite unit --print-errorlogs --timeout-multiplier 5

# Newer code must be refused, whatever the wheel's own build says.
$here/zig/ziglang/zig cc -target arm-linux-gnueabihf.2.31 -mcpu=cortex_a7 -O2 -shared -fPIC -Inative/include \
  -o $here/newer.so native/src/core/rtp.c native/src/core/packetizer.c
if .venv/bin/python tools/armv6/check_code.py $here/newer.so 2>$here/newer.log; then
  echo "ARMv7 code passed the check" >&2
  exit 1
fi
grep -q movw $here/newer.log

# Installed as an operator does it, with nothing but the standard library beside it.
wheel=$(tools/armv6/wheel.sh armel)
rm -rf $here/installed
tools/armv6/python -m pip install --quiet --no-index --no-compile --target $here/installed "$wheel"
(cd $here/installed && PYTHONPATH=$here/installed ../../../tools/armv6/python -P -m thinair --version)

PYTHONPATH=$here/package:$PWD tools/armv6/python -P -m pytest -o pythonpath=$here/package --noconftest -p no:cacheprovider -p tests.armv6.selection \
  -m "not (long or display or net or peer or vm)" -o timeout=300 tests/link tests/native tests/edid tests/wifi tests/sender tests/commands "$@"
