//! What flannel may change: of its own node, what it writes there, and nothing else.
//!
//! RBAC knows no "own" object. flannel's role lets it patch the status of nodes, so with it alone, whoever has root on one
//! worker could take over the traffic between all pods (the other nodes' VXLAN endpoints are annotations), have pods
//! scheduled by labels, or lead the API server's connections to kubelets elsewhere by addresses. An admission policy holds
//! each identity to the node in its name.
//!
//! flannel writes annotations below `flannel.alpha.coreos.com/` and the condition `NetworkUnavailable`
//! (flannel, `pkg/subnet/kube/kube.go`).

use serde_json::{Value, json};

use super::FLANNEL_GROUP;

const NAME: &str = "kubewright-flannel-own-node";
const ANNOTATIONS: &str = "flannel.alpha.coreos.com/";
const CONDITION: &str = "NetworkUnavailable";
/// What else a node's status has in the oldest version that is installed.
const STATUS: [&str; 12] = [
    "addresses",
    "allocatable",
    "capacity",
    "config",
    "daemonEndpoints",
    "features",
    "images",
    "nodeInfo",
    "phase",
    "runtimeHandlers",
    "volumesAttached",
    "volumesInUse",
];

/// The policy and its binding.
pub(super) fn policy() -> [Value; 2] {
    let own_node = format!("request.userInfo.username == '{FLANNEL_GROUP}:' + request.name");
    let same_annotations = format!(
        "variables.now.all(key, key.startsWith('{ANNOTATIONS}') || (key in variables.before && \
         variables.before[key] == variables.now[key])) && \
         variables.before.all(key, key.startsWith('{ANNOTATIONS}') || key in variables.now)"
    );
    let metadata = ["labels", "finalizers", "ownerReferences"].map(|field| same(&["metadata", field]));
    let status = STATUS.map(|field| same(&["status", field]));
    let validation = |expression: &str, message: &str| json!({"expression": expression, "message": message});
    [
        json!({
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "ValidatingAdmissionPolicy",
            "metadata": {"name": NAME},
            "spec": {
                "failurePolicy": "Fail",
                "matchConstraints": {"resourceRules": [{
                    "apiGroups": [""],
                    "apiVersions": ["*"],
                    "operations": ["CREATE", "UPDATE", "DELETE"],
                    "resources": ["nodes", "nodes/*"],
                }]},
                "matchConditions": [{
                    "name": "flannel",
                    "expression": format!(
                        "request.userInfo.username.startsWith('{FLANNEL_GROUP}:') || \
                         '{FLANNEL_GROUP}' in request.userInfo.groups"
                    ),
                }],
                "variables": [
                    {"name": "before", "expression": annotations("oldObject")},
                    {"name": "now", "expression": annotations("object")},
                    {"name": "conditionsBefore", "expression": conditions("oldObject")},
                    {"name": "conditionsNow", "expression": conditions("object")},
                ],
                "validations": [
                    validation(&own_node, "flannel changes its own node only"),
                    validation(
                        "request.operation == 'UPDATE' && request.subResource == 'status'",
                        "flannel changes the status of its node only",
                    ),
                    validation(&metadata.join(" && "), "flannel changes no labels of its node"),
                    validation(&same_annotations, "flannel changes its own annotations only"),
                    validation(&status.join(" && "), "flannel changes conditions of its node's status only"),
                    validation(
                        "variables.conditionsBefore == variables.conditionsNow",
                        "flannel changes the condition NetworkUnavailable only",
                    ),
                ],
            },
        }),
        json!({
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "ValidatingAdmissionPolicyBinding",
            "metadata": {"name": NAME},
            "spec": {"policyName": NAME, "validationActions": ["Deny"]},
        }),
    ]
}

/// Whether an optional field is as it was.
fn same(path: &[&str]) -> String {
    let path = path.join(".");
    let (now, before) = (format!("object.{path}"), format!("oldObject.{path}"));
    format!("(has({now}) == has({before}) && (!has({now}) || {now} == {before}))")
}

fn annotations(object: &str) -> String {
    let annotations = format!("{object}.metadata.annotations");
    format!("has({annotations}) ? {annotations} : {{}}")
}

/// The conditions that are not flannel's.
fn conditions(object: &str) -> String {
    let conditions = format!("{object}.status.conditions");
    format!("has({conditions}) ? {conditions}.filter(one, one.type != '{CONDITION}') : []")
}
