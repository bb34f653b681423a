#!/bin/bash
# First process of a node: node_init.sh HOST MOUNTPOINT [SHARED…] -- COMMAND… Runs in network, UTS,
# IPC, PID and mount namespaces of its own. /tmp and /dev/shm are the node's and start empty; the
# SHARED folders below /tmp, and all that is not below /tmp, are what every node sees: the shared
# file system. Ends when COMMAND does.
set -euo pipefail
host=$1 private=$2
shift 2
hostname "$host"
mount -t tmpfs -o size=2g,mode=1777 tmpfs /dev/shm
mount -t tmpfs -o mode=1777 tmpfs "$private"
while [ "$1" != -- ]; do
  case $1 in
    /tmp/*)
      mkdir -p "$private/${1#/tmp/}"
      mount --bind "$1" "$private/${1#/tmp/}"
      ;;
  esac
  shift
done
shift
mount --rbind "$private" /tmp
# Not exec: bash as process 1 collects the node's orphans.
"$@" &
wait $!
