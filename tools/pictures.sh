#!/usr/bin/env bash
# Makes the pictures of README.md and docs/: the player's window under Xvfb, the pages in Chromium. About a minute.
# Look at each before you commit it. Usage: tools/pictures.sh [FOLDER], default docs/pictures.
set -euo pipefail
cd "$(dirname "$0")/.."
tools/setup.sh test
tools/bench-setup.sh
PYTHONPATH=$PWD .venv/bin/python tools/pictures.py "${1:-docs/pictures}"
