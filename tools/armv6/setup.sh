#!/usr/bin/env bash
# Puts in place under build/armv6 what the ARMv6 builds and tests need: the compiler, Debian's packages unpacked, pytest
# for the emulated Python. Does nothing, quickly, when all of it is there. Usage: tools/armv6/setup.sh wheel|test
set -euo pipefail
cd "$(dirname "$0")/../.."
. tools/packages.sh
want=${1:-test}
here=build/armv6
zig=0.17.0

packages=(debian-archive-keyring qemu-user)
install_packages "${packages[@]}"

# pip_into FOLDER ARGUMENT...: once for these arguments.
pip_into() {
  local folder=$here/$1
  shift
  [ "$(cat "$folder/.installed" 2>/dev/null)" != "$*" ] || return 0
  rm -rf "$folder"
  .venv/bin/pip install --quiet --disable-pip-version-check --target "$folder" "$@"
  echo "$*" >"$folder/.installed"
}

pip_into zig --no-deps "ziglang==$zig"
tools/armv6/root.sh armhf $here/armhf python3.11 + libpython3.11-dev libssl-dev
[ "$want" = test ] || exit 0
tools/armv6/root.sh armel $here/armel python3.11 + libpython3.11-dev libssl-dev
# Wheels without machine code; pip itself is there to install the sender's wheel as an operator does.
pip_into site --platform any --python-version 3.11 --only-binary :all: "pytest>=8" "pytest-timeout>=2.3" "hypothesis>=6.100" \
  "pip>=24"
# No kernel support for foreign programs is asked for: children of the emulated Python start through the same wrapper.
printf 'import sys\n\nsys.executable = "%s"\n' "$PWD/tools/armv6/python" >$here/site/sitecustomize.py
