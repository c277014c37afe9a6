//! The arguments and settings that kubewright owns, and why.
//!
//! Owned is what other parts of the cluster depend on: addresses, certificates, identities, ranges. Everything else
//! is the user's. A name that ends with `*` stands for all that begin so.

use super::super::cluster::ComponentName;

/// Something a user may not set.
pub(super) struct Owned {
    /// The argument without dashes, or the setting with dots.
    pub(super) name: &'static str,
    /// Why it is owned; follows "belongs to kubewright: ".
    pub(super) why: &'static str,
    /// The key of cluster.yaml that sets it, if one does.
    instead: &'static str,
}

impl Owned {
    /// Returns what to do instead.
    pub(super) fn hint(&self) -> String {
        if self.instead.is_empty() {
            "remove it".to_owned()
        } else {
            format!("set `{}` instead", self.instead)
        }
    }
}

const ADDRESS: &str = "nodes, probes and the API proxy reach it at a fixed address and port";
const CERTIFICATES: &str = "it makes and renews these certificates";
const IDENTITY: &str = "it makes this identity and its kubeconfig";
const RANGE: &str = "it follows from the cluster's ranges";
const ETCD: &str = "it follows from the list of control planes";
const FILES: &str = "it makes and watches over this file";
const ACCESS: &str = "the cluster's access rules depend on it";
const TOKENS: &str = "every token in use depends on it";

const fn by_itself(name: &'static str, why: &'static str) -> Owned {
    Owned {
        name,
        why,
        instead: "",
    }
}

const fn by_key(name: &'static str, why: &'static str, instead: &'static str) -> Owned {
    Owned { name, why, instead }
}

/// Owned arguments by component.
pub(super) const OWNED_ARGUMENTS: &[(ComponentName, &[Owned])] = &[
    (
        ComponentName::KubeApiserver,
        &[
            by_key("advertise-address", ADDRESS, "spec.nodes[].address"),
            by_itself("bind-address", ADDRESS),
            by_itself("secure-port", ADDRESS),
            by_itself(
                "endpoint-reconciler-type",
                "the API proxies on all nodes follow the endpoints it keeps",
            ),
            by_itself("etcd-*", ETCD),
            by_itself("storage-backend", ETCD),
            by_itself("client-ca-file", CERTIFICATES),
            by_itself("cert-dir", CERTIFICATES),
            by_itself("tls-cert-file", CERTIFICATES),
            by_itself("tls-private-key-file", CERTIFICATES),
            by_itself("kubelet-client-certificate", CERTIFICATES),
            by_itself("kubelet-client-key", CERTIFICATES),
            by_itself("kubelet-certificate-authority", CERTIFICATES),
            by_itself("kubelet-preferred-address-types", ADDRESS),
            by_itself("proxy-client-cert-file", CERTIFICATES),
            by_itself("proxy-client-key-file", CERTIFICATES),
            by_itself("requestheader-*", CERTIFICATES),
            by_itself("service-account-key-file", TOKENS),
            by_itself("service-account-signing-key-file", TOKENS),
            by_itself("service-account-issuer", TOKENS),
            by_itself("api-audiences", TOKENS),
            by_key("service-cluster-ip-range", RANGE, "spec.network.serviceCidr"),
            by_itself("authorization-mode", ACCESS),
            by_itself("authorization-config", ACCESS),
            by_itself("anonymous-auth", ACCESS),
            by_itself("authentication-config", ACCESS),
            by_key(
                "oidc-*",
                "it cannot stand beside the file of authenticators",
                "spec.oidc",
            ),
            by_itself("allow-privileged", ACCESS),
            by_itself(
                "token-auth-file",
                "passwords in a file cannot be revoked or rotated",
            ),
            by_key(
                "admission-control-config-file",
                FILES,
                "spec.security.podSecurity",
            ),
            by_key("audit-policy-file", FILES, "spec.security.audit"),
            by_key("audit-log-path", FILES, "spec.security.audit"),
            by_key("encryption-provider-*", FILES, "spec.security.encryption"),
        ],
    ),
    (
        ComponentName::KubeControllerManager,
        &[
            by_itself("kubeconfig", IDENTITY),
            by_itself("authentication-kubeconfig", IDENTITY),
            by_itself("authorization-kubeconfig", IDENTITY),
            by_itself("master", IDENTITY),
            by_itself("use-service-account-credentials", ACCESS),
            by_itself("bind-address", ADDRESS),
            by_itself("secure-port", ADDRESS),
            by_itself("leader-elect", "only one instance may be active"),
            by_key("cluster-cidr", RANGE, "spec.network.podCidr"),
            by_key("service-cluster-ip-range", RANGE, "spec.network.serviceCidr"),
            by_key("allocate-node-cidrs", RANGE, "spec.network.cni"),
            by_itself("node-cidr-mask-size*", RANGE),
            by_key("cluster-name", "reports and kubeconfigs use it", "metadata.name"),
            by_itself("cluster-signing-*", CERTIFICATES),
            by_itself("root-ca-file", CERTIFICATES),
            by_itself("client-ca-file", CERTIFICATES),
            by_itself("cert-dir", CERTIFICATES),
            by_itself("tls-cert-file", CERTIFICATES),
            by_itself("tls-private-key-file", CERTIFICATES),
            by_itself("requestheader-*", CERTIFICATES),
            by_itself("service-account-private-key-file", TOKENS),
        ],
    ),
    (
        ComponentName::KubeScheduler,
        &[
            by_key("config", FILES, "spec.components.kube-scheduler.extraConfig"),
            by_itself("kubeconfig", IDENTITY),
            by_itself("authentication-kubeconfig", IDENTITY),
            by_itself("authorization-kubeconfig", IDENTITY),
            by_itself("master", IDENTITY),
            by_itself("bind-address", ADDRESS),
            by_itself("secure-port", ADDRESS),
            by_itself("leader-elect", "only one instance may be active"),
            by_itself("client-ca-file", CERTIFICATES),
            by_itself("cert-dir", CERTIFICATES),
            by_itself("tls-cert-file", CERTIFICATES),
            by_itself("tls-private-key-file", CERTIFICATES),
            by_itself("requestheader-*", CERTIFICATES),
        ],
    ),
    (
        ComponentName::Kubelet,
        &[
            by_key("config", FILES, "spec.components.kubelet.extraConfig"),
            by_key("config-dir", FILES, "spec.components.kubelet.extraConfig"),
            by_itself("kubeconfig", IDENTITY),
            by_itself("bootstrap-kubeconfig", IDENTITY),
            by_key(
                "hostname-override",
                "the node's certificate carries its name",
                "spec.nodes[].name",
            ),
            by_key("node-ip", ADDRESS, "spec.nodes[].address"),
            by_key(
                "node-labels",
                "labels are kept up to date from the file",
                "spec.nodes[].labels",
            ),
            by_key(
                "register-with-taints",
                "taints are kept up to date from the file",
                "spec.nodes[].taints",
            ),
            by_itself("register-node", "the cluster waits for every node to register"),
            by_itself("address", ADDRESS),
            by_itself("port", ADDRESS),
            by_itself("read-only-port", ACCESS),
            by_itself(
                "container-runtime-endpoint",
                "it installs and configures containerd",
            ),
            by_itself("image-service-endpoint", "it installs and configures containerd"),
            by_itself(
                "pod-infra-container-image",
                "it installs and pins the pause image",
            ),
            by_itself("cgroup-driver", "kubelet and containerd must agree on it"),
            by_itself("root-dir", "reset and backup know the kubelet's directory"),
            by_itself("cert-dir", CERTIFICATES),
            by_itself("client-ca-file", CERTIFICATES),
            by_itself("tls-cert-file", CERTIFICATES),
            by_itself("tls-private-key-file", CERTIFICATES),
            by_itself("rotate-certificates", CERTIFICATES),
            by_itself("rotate-server-certificates", CERTIFICATES),
            by_itself("anonymous-auth", ACCESS),
            by_itself("authorization-mode", ACCESS),
            by_itself("authentication-token-webhook", ACCESS),
            by_key("cluster-dns", RANGE, "spec.network.serviceCidr"),
            by_key(
                "cluster-domain",
                "certificates and DNS carry it",
                "spec.network.domain",
            ),
            by_key("pod-cidr", RANGE, "spec.network.podCidr"),
            by_itself("pod-manifest-path", FILES),
        ],
    ),
    (
        ComponentName::KubeProxy,
        &[
            by_key("config", FILES, "spec.components.kube-proxy.extraConfig"),
            by_itself("kubeconfig", IDENTITY),
            by_itself("master", IDENTITY),
            by_key("cluster-cidr", RANGE, "spec.network.podCidr"),
            by_key(
                "proxy-mode",
                "it must fit the node's host preparation",
                "spec.network.proxy",
            ),
            by_key(
                "hostname-override",
                "it must be the node's name",
                "spec.nodes[].name",
            ),
        ],
    ),
    (
        ComponentName::Etcd,
        &[
            by_key("name", ETCD, "spec.nodes[].name"),
            by_itself("config-file", FILES),
            by_itself("data-dir", "snapshots, restore and reset know etcd's directory"),
            by_itself("wal-dir", "snapshots, restore and reset know etcd's directory"),
            by_itself("initial-*", ETCD),
            by_itself("discovery*", ETCD),
            by_itself("listen-*", ADDRESS),
            by_itself("advertise-client-urls", ADDRESS),
            by_itself("cert-file", CERTIFICATES),
            by_itself("key-file", CERTIFICATES),
            by_itself("trusted-ca-file", CERTIFICATES),
            by_itself("client-*", CERTIFICATES),
            by_itself("peer-*", CERTIFICATES),
            by_itself("auto-tls", CERTIFICATES),
            by_itself("force-new-cluster*", "it makes the member forget the others"),
            by_itself(
                "unsafe-no-fsync",
                "without it, a power failure loses acknowledged writes",
            ),
            by_itself("enable-grpc-gateway", "it manages members through the gateway"),
        ],
    ),
];

/// Owned settings of configuration files by component.
pub(super) const OWNED_CONFIG: &[(ComponentName, &[Owned])] = &[
    (
        ComponentName::Kubelet,
        &[
            by_itself("apiVersion", FILES),
            by_itself("kind", FILES),
            by_itself("authentication.anonymous", ACCESS),
            by_itself("authentication.webhook.enabled", ACCESS),
            by_itself("authentication.x509", CERTIFICATES),
            by_itself("authorization.mode", ACCESS),
            by_itself("tlsCertFile", CERTIFICATES),
            by_itself("tlsPrivateKeyFile", CERTIFICATES),
            by_itself("rotateCertificates", CERTIFICATES),
            by_itself("serverTLSBootstrap", CERTIFICATES),
            by_itself(
                "containerRuntimeEndpoint",
                "it installs and configures containerd",
            ),
            by_itself("imageServiceEndpoint", "it installs and configures containerd"),
            by_itself("cgroupDriver", "kubelet and containerd must agree on it"),
            by_key("clusterDNS", RANGE, "spec.network.serviceCidr"),
            by_key(
                "clusterDomain",
                "certificates and DNS carry it",
                "spec.network.domain",
            ),
            by_key("podCIDR", RANGE, "spec.network.podCidr"),
            by_key(
                "registerWithTaints",
                "taints are kept up to date from the file",
                "spec.nodes[].taints",
            ),
            by_itself("registerNode", "the cluster waits for every node to register"),
            by_itself("staticPodPath", FILES),
            by_itself("port", ADDRESS),
            by_itself("readOnlyPort", ACCESS),
            by_itself("enableServer", "the API server reads logs and metrics from it"),
        ],
    ),
    (
        ComponentName::KubeProxy,
        &[
            by_itself("apiVersion", FILES),
            by_itself("kind", FILES),
            by_itself("clientConnection.kubeconfig", IDENTITY),
            by_key("clusterCIDR", RANGE, "spec.network.podCidr"),
            by_key(
                "mode",
                "it must fit the node's host preparation",
                "spec.network.proxy",
            ),
            by_key(
                "hostnameOverride",
                "it must be the node's name",
                "spec.nodes[].name",
            ),
        ],
    ),
    (
        ComponentName::KubeScheduler,
        &[
            by_itself("apiVersion", FILES),
            by_itself("kind", FILES),
            by_itself("clientConnection.kubeconfig", IDENTITY),
            by_itself("leaderElection.leaderElect", "only one instance may be active"),
        ],
    ),
    (
        ComponentName::Containerd,
        &[
            by_itself("version", FILES),
            by_itself("root", "reset knows containerd's directories"),
            by_itself("state", "reset knows containerd's directories"),
            by_itself("grpc.address", "the kubelet reaches containerd at a fixed socket"),
        ],
    ),
];
