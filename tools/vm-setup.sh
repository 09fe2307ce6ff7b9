#!/usr/bin/env bash
# Makes the virtual machine of tests/vm in build/vm from Debian's packages: kernel, the media drivers that Debian leaves out
# (vicodec, tc358743), the pretended chip of tests/vm/module, initramfs, the font of vivid's text. The packages stay there; what is built from them
# is made again when its inputs change. Needs no root: packages are unpacked, not installed.
set -euo pipefail
cd "$(dirname "$0")/.."
[ "$(uname -m)" = x86_64 ] || { echo "tests/vm needs an x86-64 machine: the guest runs this machine's Python" >&2; exit 3; }
mkdir -p build
exec 9>build/vm.lock
flock 9

vm=$PWD/build/vm
inputs=$(cat tools/vm-setup.sh tests/vm/module/* tests/vm/guest/init | sha256sum)
if [ "$(cat "$vm/made-of" 2>/dev/null)" = "$inputs" ]; then exit 0; fi
rm -f "$vm/made-of"

pinned() { apt-cache depends "$1" 2>/dev/null | sed -n "s/^  Depends: \($2\)\$/\1/p" | head -1; }

download() {
  rm -rf "$vm"
  mkdir -p "$vm"/{packages,kernel,headers,sources}
  image=$(pinned linux-image-amd64 'linux-image-[0-9].*')
  [ -n "$image" ] || { echo "no kernel in the package lists; run: sudo apt-get update" >&2; exit 3; }
  release=${image#linux-image-}
  headers=linux-headers-$release
  common=$(pinned "$headers" 'linux-headers-.*-common')
  kbuild=$(pinned "$headers" 'linux-kbuild-.*')
  compiler=$(pinned "$headers" 'linux-compiler-.*')
  source=linux-source-${kbuild#linux-kbuild-}
  (cd "$vm/packages" && apt-get download -qq "$image" "$headers" "$common" "$kbuild" "$compiler" "$source" 2>apt.log) || {
    cat "$vm/packages/apt.log" >&2
    echo "the kernel's packages cannot be had; run: sudo apt-get update" >&2
    exit 3
  }
  dpkg-deb -x "$vm/packages/${image}"_*.deb "$vm/kernel"
  for package in "$headers" "$common" "$kbuild" "$compiler"; do dpkg-deb -x "$vm/packages/${package}"_*.deb "$vm/headers"; done
  sed -i "s#/usr/src/#$vm/headers/usr/src/#" "$vm/headers/usr/src/$headers/Makefile"
  media=$source/drivers/media
  dpkg-deb --fsys-tarfile "$vm/packages/${source}"_*.deb | tar -xO "./usr/src/$source.tar.xz" |
    tar -xJ -C "$vm/sources" --strip-components=1 "$media/test-drivers/vicodec" "$media/v4l2-core/v4l2-mem2mem.c" \
      "$media/i2c/tc358743.c" "$media/i2c/tc358743_regs.h" "$source/lib/fonts/font_8x16.c" "$source/scripts/extract-vmlinux"
  "$vm/sources/scripts/extract-vmlinux" "$vm/kernel/boot/vmlinuz-$release" >"$vm/vmlinux"
  rm -r "$vm/packages"
  echo "$release" >"$vm/release"
}

build_modules() {
  local sources=$vm/sources/drivers/media
  rm -rf "$vm/modules"
  mkdir "$vm/modules"
  cp "$sources"/test-drivers/vicodec/*.[ch] "$sources/v4l2-core/v4l2-mem2mem.c" "$sources"/i2c/tc358743* tests/vm/module/*.c "$vm/modules"
  cat >"$vm/modules/Kbuild" <<'KBUILD'
ccflags-y += -DCONFIG_V4L2_MEM2MEM_DEV_MODULE=1
obj-m += v4l2-mem2mem.o vicodec.o tc358743.o pretended_tc358743.o
vicodec-objs := vicodec-core.o codec-fwht.o codec-v4l2-fwht.o
KBUILD
  make -s -C "$vm/headers/usr/src/linux-headers-$release" M="$vm/modules" modules >"$vm/modules/log" 2>&1 || {
    cat "$vm/modules/log" >&2
    exit 1
  }
  local target=$vm/kernel/lib/modules/$release
  mkdir -p "$target/extra"
  for module in "$vm"/modules/*.ko; do strip -g -o "$target/extra/${module##*/}" "$module"; done
  PATH=$PATH:/usr/sbin:/sbin depmod -b "$vm/kernel" "$release"
}

pack_initramfs() {
  local tree=$vm/initramfs
  rm -rf "$tree"
  mkdir -p "$tree"/{bin,proc,sys,dev,host,layer,root,modules}
  cp /bin/busybox "$tree/bin/"
  cp tests/vm/guest/init "$tree/init"
  chmod +x "$tree/init"
  for module in virtio_pci virtio_console 9pnet_virtio 9p overlay virtio_net virtio-rng; do
    PATH=$PATH:/usr/sbin:/sbin modprobe -d "$vm/kernel" -S "$release" --show-depends "$module" | sed -n 's/^insmod //p'
  done | awk '!seen[$1]++ { print $1 }' | while read -r module; do
    strip -g -o "$tree/modules/${module##*/}" "$module"
    echo "${module##*/}" >>"$tree/modules/order"
  done
  (cd "$tree" && find . | busybox cpio -o -H newc 2>/dev/null) | gzip -6 >"$vm/initramfs.gz"
}

if [ "$(cat "$vm/downloaded-by" 2>/dev/null)" != "$(sha256sum <tools/vm-setup.sh)" ]; then
  echo "tests/vm: a kernel and its drivers from Debian, once" >&2
  download
  sha256sum <tools/vm-setup.sh >"$vm/downloaded-by"
fi
release=$(cat "$vm/release")
build_modules
pack_initramfs
echo "$inputs" >"$vm/made-of"
