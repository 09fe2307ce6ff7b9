#!/bin/sh
# What busybox's DHCP client calls: the address alone, no route and no name server, since nothing lies behind the sender.
case "$1" in
  deconfig) ip addr flush dev "$interface" ;;
  bound | renew) ip addr replace "$ip/${mask:-24}" dev "$interface" ;;
esac
