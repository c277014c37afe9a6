#!/bin/bash
# The least that can be done to make a cluster of prepared files: copy, start, apply. Arguments: names of the machines.
# Works in a directory with NODE.before, NODE.first.tar.zst, NODE.rest.tar.zst, NODE.images, the images and objects.json.
set -eu
sockets=$(mktemp -d)
trap 'for node in "$@"; do on "$node" -O exit 2>/dev/null || true; done; rm -rf "$sockets"' EXIT

on() {
    local node=$1
    shift
    ssh -F "$SSH_CONFIG" -o ControlMaster=auto -o ControlPath="$sockets/%n" -o ControlPersist=60 \
        -o Ciphers=aes128-gcm@openssh.com "$node" "$@"
}

node() {
    local node=$1 services="kubewright-api-proxy containerd"
    on "$node" 'sh -eu' <"$node.before"
    on "$node" 'zstd -dcq | tar -xf - -C / && systemctl daemon-reload' <"$node.first.tar.zst"
    on "$node" 'sysctl -q --system' >/dev/null 2>&1 || true
    case $node in cp-*) on "$node" 'systemctl start --no-block etcd kube-apiserver kube-controller-manager kube-scheduler' ;; esac
    on "$node" "zstd -dcq | tar -xf - -C / && systemctl start $services" <"$node.rest.tar.zst"
    while read -r image; do
        [ -z "$image" ] || on "$node" 'zstd -dcq | ctr --namespace k8s.io images import --local -' <"$image" >/dev/null
    done <"$node.images"
}

objects() {
    local server="" candidate
    while [ -z "$server" ]; do
        for candidate in $SERVERS; do
            [ "$(curl -sk --max-time 1 "$candidate/readyz")" != ok ] || server=$candidate
        done
        [ -n "$server" ] || sleep 0.1
    done
    # Default roles and namespaces appear a moment after the API answers.
    until "$KUBECTL" --server "$server" apply --server-side --force-conflicts -f objects.json >/dev/null 2>&1; do sleep 0.2; done
}

workers=()
for name in "$@"; do
    node "$name" &
    workers+=($!)
done
objects
for worker in "${workers[@]}"; do wait "$worker"; done
workers=()
for name in "$@"; do
    on "$name" 'systemctl start --no-block kube-proxy flanneld kubelet' &
    workers+=($!)
done
for worker in "${workers[@]}"; do wait "$worker"; done
