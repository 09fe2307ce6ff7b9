#!/usr/bin/env bash
# Installs from Debian what `thinair bench` compares with: Xvfb, ffplay, mpv, GStreamer. Does nothing where all are there.
set -euo pipefail
. "$(dirname "$0")/packages.sh"

packages=(xvfb ffmpeg mpv gstreamer1.0-tools gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-libav
  gstreamer1.0-x)

install_packages "${packages[@]}"
