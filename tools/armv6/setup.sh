#!/usr/bin/env bash
# Puts in place under build/armv6 what the ARMv6 builds and tests need: the compiler, Debian's packages unpacked, pytest
# for the emulated Python. Does nothing, quickly, when all of it is there. Usage: tools/armv6/setup.sh wheel|test
set -euo pipefail
cd "$(dirname "$0")/../.."
want=${1:-test}
here=build/armv6
zig=0.17.0

packages=(debian-archive-keyring qemu-user)
missing=()
for package in "${packages[@]}"; do
  [ "$(dpkg-query -W -f='${db:Status-Abbrev}' "$package" 2>/dev/null)" = "ii " ] || missing+=("$package")
done
if [ ${#missing[@]} -gt 0 ]; then
  as_root=()
  if [ "$(id -u)" -ne 0 ]; then
    if sudo -n true 2>/dev/null; then as_root=(sudo -n); else
      echo "missing system packages; run: sudo apt-get install -y --no-install-recommends ${missing[*]}" >&2
      exit 3
    fi
  fi
  "${as_root[@]}" apt-get update -qq
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi

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
tools/armv6/root.sh armhf $here/armhf python3.11 + libpython3.11-dev
[ "$want" = test ] || exit 0
tools/armv6/root.sh armel $here/armel python3.11 + libpython3.11-dev
# Wheels without machine code; pip itself is there to install the sender's wheel as an operator does.
pip_into site --platform any --python-version 3.11 --only-binary :all: "pytest>=8" "pytest-timeout>=2.3" "hypothesis>=6.100" \
  "pip>=24"
# No kernel support for foreign programs is asked for: children of the emulated Python start through the same wrapper.
printf 'import sys\n\nsys.executable = "%s"\n' "$PWD/tools/armv6/python" >$here/site/sitecustomize.py
