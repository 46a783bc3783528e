#!/usr/bin/env bash
# machine.sh FOLDER KEEP...: an SSH server whose /tmp and home are empty, but for the paths to keep, which lie there
# outside. It runs in network, process and mount namespaces of its own.
set -eu
folder=$1
shift
mount --make-rprivate /
for place in /tmp /root; do
    mkdir -p "$folder$place"
    mount -t tmpfs none "$folder$place"
done
for path in "$@"; do
    case $path in /tmp/* | /root/*) mkdir -p "$folder$path" && mount --bind "$path" "$folder$path" ;; esac
done
cp "$folder"/../ssh/* "$folder/tmp/"
chmod 1777 "$folder/tmp"
mount -t tmpfs none /dev/shm
mount --rbind "$folder/root" /root
mount --rbind "$folder/tmp" /tmp
mkdir -p /run/sshd
exec /usr/sbin/sshd -D -e -f /tmp/sshd_config
