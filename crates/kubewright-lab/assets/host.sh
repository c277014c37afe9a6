#!/bin/sh
# Makes a systemd-nspawn container behave like a machine of its own. Runs first at every boot.
set -u

# cgroup v1: the container manager mounts the controllers read-only; a node's software must write them.
if [ "$(stat --file-system --format=%T /sys/fs/cgroup)" != cgroup2fs ]; then
    mount -o remount,rw /sys/fs/cgroup
    for hierarchy in /sys/fs/cgroup/*; do
        [ -h "$hierarchy" ] || ! mountpoint -q "$hierarchy" || mount -o remount,rw,bind "$hierarchy"
    done
fi

# The kubelet wants mounts that propagate.
mount --make-rshared /

# Settings the kernel keeps once for the whole computer: each machine gets its own files in their place, so that it
# can read and write them without changing the computer. Those with a value start at what a node needs.
private=/run/kubewright-lab/sysctl
while read -r name value; do
    [ -n "$name" ] && [ -e "/proc/sys/$name" ] || continue
    mkdir -p "$private/${name%/*}"
    if [ -n "$value" ]; then
        echo "$value" >"$private/$name"
    else
        cat "/proc/sys/$name" >"$private/$name" 2>/dev/null || continue
    fi
    mount --bind "$private/$name" "/proc/sys/$name"
done <<'SETTINGS'
fs/aio-max-nr
fs/inotify/max_user_instances 8192
fs/inotify/max_user_watches 524288
fs/protected_fifos
fs/protected_hardlinks
fs/protected_regular
fs/protected_symlinks
fs/suid_dumpable
kernel/core_pattern
kernel/core_uses_pid
kernel/dmesg_restrict
kernel/keys/root_maxbytes 25000000
kernel/keys/root_maxkeys 1000000
kernel/kptr_restrict
kernel/panic 10
kernel/panic_on_oops 1
kernel/perf_event_paranoid
kernel/pid_max
kernel/printk
kernel/sysrq
kernel/threads-max
kernel/unprivileged_bpf_disabled
kernel/yama/ptrace_scope
vm/max_map_count
vm/overcommit_memory 1
vm/panic_on_oom 0
vm/swappiness
SETTINGS
exit 0
