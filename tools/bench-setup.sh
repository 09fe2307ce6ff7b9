#!/usr/bin/env bash
# Installs what `thinair bench` compares with and draws with: Xvfb, ffplay, mpv, GStreamer, SRT, ISA-L;
# aiortc, matplotlib, pytest-benchmark, zfec. Does nothing where all are there.
set -euo pipefail
. "$(dirname "$0")/packages.sh"

packages=(xvfb x11-xserver-utils valgrind chromium ffmpeg mpv gstreamer1.0-tools gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-libav
  gstreamer1.0-x srt-tools libisal2)

install_packages "${packages[@]}"
.venv/bin/pip install --quiet --disable-pip-version-check 'aiortc>=1.14' 'matplotlib>=3.9' 'pytest-benchmark>=5' 'zfec>=1.6'
