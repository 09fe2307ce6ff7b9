#!/usr/bin/env bash
# Installs what a target needs from Debian, then the Python environment. Usage: tools/setup.sh run|check|test
# Does nothing, quickly, when all of it is there.
set -euo pipefail
cd "$(dirname "$0")/.."
. tools/packages.sh
want=${1:-run}

packages=(gcc libc6-dev libssl-dev libturbojpeg0 openssl python3-dev python3-venv libxcb1-dev libxcb-shm0-dev libxcb-randr0-dev)
if [ "$want" = test ]; then
  packages+=(avahi-daemon tshark chromium mpv dbus-daemon x11-xserver-utils e2fsprogs xvfb xdotool zbar-tools x11-utils x11-apps ffmpeg gstreamer1.0-tools gstreamer1.0-plugins-base gstreamer1.0-plugins-good
    gstreamer1.0-plugins-bad gstreamer1.0-plugins-ugly gstreamer1.0-libav gstreamer1.0-x socat procps valgrind
    clang-14 clang-format-14 libclang-rt-14-dev
    qemu-system-x86 busybox-static kmod make binutils xz-utils libelf1 v4l-utils edid-decode xxd systemd hostapd wpasupplicant iw dnsmasq-base)
fi
[ "$want" = run ] || packages+=(iproute2) # the network of the tests' own

install_packages "${packages[@]}"

python=${PYTHON:-python3}
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
  echo "Python 3.11 or newer is needed, $python is $("$python" --version): set PYTHON=/path/to/python3.11" >&2
  exit 2
}
[ -x .venv/bin/python ] || "$python" -m venv .venv
extras=[dev]
[ "$want" != run ] || extras=
stamp=.make/installed$extras
# Rebuilt when any installed source is newer than the stamp.
if [ ! -e "$stamp" ] || [ -n "$(find pyproject.toml meson.build meson.options native thinair link edid wifi sender receiver bench \
    -newer "$stamp" -type f -not -name '*.pyc' -print -quit)" ]; then
  .venv/bin/pip install --quiet --disable-pip-version-check ".$extras"
  # The source tree runs with the extension that was just installed.
  ln -sf "$(.venv/bin/python -c 'import sysconfig; print(sysconfig.get_path("platlib"))')/thinair/_native.abi3.so" thinair/
  mkdir -p .make
  touch "$stamp"
fi
if [ "$want" = test ]; then tools/fetch-picamera.sh; fi
