//! The rules of cluster.yaml by name, for the reference page; findings name them.

/// Every rule a finding can name, and when it does.
pub const RULES: &[(&str, &str)] = &[
    (
        "invalid-yaml",
        "the text is not YAML, or uses anchors, tags or tabs, which cluster.yaml does not allow",
    ),
    ("empty-file", "the file is empty"),
    (
        "unknown-key",
        "unknown key; the message names the nearest known one",
    ),
    ("duplicate-key", "a key appears twice in one map"),
    ("missing-key", "a required key is missing"),
    ("empty-value", "a required value is empty"),
    (
        "wrong-type",
        "a value has the wrong type, such as a list instead of a string",
    ),
    ("unknown-word", "a value is not one of the allowed words"),
    (
        "invalid-value",
        "a value is not a valid address, name, range or number",
    ),
    (
        "unknown-version",
        "this kubewright does not know the Kubernetes version",
    ),
    (
        "not-yet",
        "not implemented yet: an error, or a warning where the value only has no effect yet",
    ),
    (
        "owned-argument",
        "an argument or setting of a component that kubewright decides",
    ),
    ("owned-label", "a node label that kubewright or the kubelet sets"),
    (
        "duplicate-name",
        "two nodes, addons or accepted findings have the same name",
    ),
    ("never-accepted", "a finding that `checks.accept` cannot accept"),
    ("reserved-name", "a node has a name of the API servers"),
    ("duplicate-address", "two nodes have the same address"),
    ("no-nodes", "the file has no nodes"),
    ("no-control-plane", "no node is a control plane"),
    (
        "even-control-planes",
        "an even number of control planes, which tolerates no more failures than one less",
    ),
    ("many-control-planes", "warning: more than seven control planes"),
    (
        "single-control-plane",
        "warning: one control plane is not highly available",
    ),
    ("no-workers", "warning: no node has the role `worker`"),
    ("range-overlap", "the pod range and the service range overlap"),
    (
        "range-reserved",
        "a range that is used on the Internet or on every machine",
    ),
    ("range-too-large", "a range larger than Kubernetes allows"),
    (
        "range-too-small",
        "a range too small for the nodes, pods or services",
    ),
    (
        "address-in-range",
        "a node's address is inside the pod or service range",
    ),
    (
        "endpoint-on-node",
        "warning: the endpoint is the address of one node, which may be down, or which serves no API",
    ),
    (
        "no-network",
        "warning: no network plug-in and none among the addons",
    ),
    (
        "no-proxy",
        "warning: no kube-proxy; the network plug-in must forward service traffic",
    ),
    ("no-effect", "a value that has no effect because of another one"),
    (
        "plain-http",
        "warning: a mirror or registry without TLS, or whose certificate is not checked",
    ),
];
