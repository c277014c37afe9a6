//! The rules of cluster.yaml by name, for the reference page; findings name them.

/// Every rule a finding can name, and when it does.
pub const RULES: &[(&str, &str)] = &[
    (
        "invalid-yaml",
        "the text is not YAML, or uses what cluster.yaml does not take (anchors, tags, tabs)",
    ),
    ("empty-file", "the file is empty"),
    (
        "unknown-key",
        "a key is not known; the nearest known one is named",
    ),
    ("duplicate-key", "a key stands twice in one map"),
    ("missing-key", "a key that must be there is not"),
    ("empty-value", "a value is empty where something must be said"),
    (
        "wrong-type",
        "a value is of another type, such as a list instead of a text",
    ),
    ("unknown-word", "a value is none of the words that are allowed"),
    (
        "invalid-value",
        "a value is not what it has to be: an address, a name, a range, a number",
    ),
    (
        "unknown-version",
        "the Kubernetes version is not in the catalogue",
    ),
    (
        "not-yet",
        "something that is planned and not built: refused, or a warning where it only has no effect yet",
    ),
    (
        "owned-argument",
        "an argument or setting of a component that kubewright decides",
    ),
    ("owned-label", "a node label that kubewright or the kubelet sets"),
    ("duplicate-name", "two nodes or addons have one name"),
    ("duplicate-address", "two nodes have one address"),
    ("no-nodes", "there is no node"),
    ("no-control-plane", "no node is a control plane"),
    (
        "even-control-planes",
        "an even number of control planes, which tolerates no more failures than one less",
    ),
    ("many-control-planes", "warning: more than seven control planes"),
    (
        "single-control-plane",
        "warning: one control plane, so that nothing is highly available",
    ),
    ("no-workers", "warning: no node runs pods"),
    (
        "range-overlap",
        "the pod range and the service range share addresses",
    ),
    (
        "range-reserved",
        "a range that has another meaning on the Internet or on every machine",
    ),
    ("range-too-large", "a range larger than Kubernetes takes"),
    ("range-too-small", "a range too small for the nodes or services"),
    (
        "address-in-range",
        "a node's address lies in the pod or service range",
    ),
    (
        "endpoint-on-node",
        "the endpoint is an address of a node that is no control plane",
    ),
    (
        "no-network",
        "warning: no network plug-in and none among the addons",
    ),
    (
        "no-proxy",
        "warning: no kube-proxy, so that somebody else must forward services",
    ),
    ("no-effect", "a value that has no effect because of another one"),
    (
        "plain-http",
        "warning: a mirror over a connection that anybody can change",
    ),
];
