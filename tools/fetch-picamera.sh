#!/usr/bin/env bash
# Fetches picamera 1.13's source archive into build/, by its checksum. tests/native/test_mmal_abi.py reads one file of it, the
# independent copy of MMAL's headers; the package is not installed.
set -euo pipefail
cd "$(dirname "$0")/.."
archive=build/picamera/picamera-1.13.tar.gz
[ -s "$archive" ] && exit 0
wish=$(mktemp)
trap 'rm -f "$wish"' EXIT
echo "picamera==1.13 --hash=sha256:890815aa01e4d855a6a95dd3ad0953b872a6b954982106407df0c5a31a163e50" >"$wish"
# READTHEDOCS: its setup.py, which pip asks for the name, then does not insist on a Raspberry Pi.
READTHEDOCS=True .venv/bin/pip download --quiet --disable-pip-version-check --no-deps --no-binary :all: --require-hashes \
  --dest "$(dirname "$archive")" -r "$wish"
