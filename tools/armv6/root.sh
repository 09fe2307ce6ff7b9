#!/usr/bin/env bash
# Unpacks Debian packages of another architecture, with all they depend on, into a folder: no maintainer script runs, and
# this machine's own packages stay as they are. A folder that has them already is left alone.
# Usage: tools/armv6/root.sh ARCH FOLDER PACKAGE... [+ PACKAGE-WITHOUT-DEPENDENCIES...]
set -euo pipefail
arch=$1 root=$2
shift 2
suite=bookworm # Python 3.11, as on Raspberry Pi OS 12, and the last Debian with armel packages of it
wanted="$suite $arch $* usr"
[ "$(cat "$root/.unpacked" 2>/dev/null)" != "$wanted" ] || exit 0

with=() alone=()
for package; do
  if [ "$package" = + ]; then alone=(more); elif [ ${#alone[@]} -eq 0 ]; then with+=("$package"); else alone+=("$package"); fi
done
rm -rf "$root"
mkdir -p "$root"
state=$(mktemp -d)
trap 'rm -rf "$state"' EXIT
mkdir -p "$state"/{lists/partial,archives/partial,etc/{apt.conf.d,preferences.d,sources.list.d}}
: >"$state/status"
echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] ${DEBIAN_MIRROR:-http://deb.debian.org/debian} $suite main" \
  >"$state/etc/sources.list"
cat >"$state/apt.conf" <<END
APT::Architecture "$arch";
APT::Architectures { "$arch"; };
APT::Install-Recommends "false";
APT::Sandbox::User "";
Acquire::Languages "none";
Acquire::Retries "3";
Dir::State "$state";
Dir::State::status "$state/status";
Dir::Cache "$state";
Dir::Etc "$state/etc";
END
export APT_CONFIG=$state/apt.conf
apt-get update -qq
apt-get install -y -qq --download-only "${with[@]}" >/dev/null
[ ${#alone[@]} -lt 2 ] || (cd "$state/archives" && apt-get download -qq "${alone[@]:1}")
for package in "$state"/archives/*.deb; do dpkg-deb -x "$package" "$root"; done
# One /usr, as an installed Debian has it: the loader drops a folder for good in which its first library is not.
for folder in lib bin sbin; do
  [ -d "$root/$folder" ] || continue
  mkdir -p "$root/usr/$folder"
  cp -a "$root/$folder/." "$root/usr/$folder/"
  rm -r "${root:?}/$folder"
  ln -s "usr/$folder" "$root/$folder"
done
echo "$wanted" >"$root/.unpacked"
