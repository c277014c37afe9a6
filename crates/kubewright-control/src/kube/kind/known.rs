//! The kinds every supported Kubernetes serves.

use super::Kind;

/// `apiVersion`, kinds in namespaces, kinds of the cluster.
const KNOWN: &[(&str, &str, &str)] = &[
    (
        "v1",
        "ConfigMap Endpoints LimitRange PersistentVolumeClaim Pod PodTemplate ReplicationController \
         ResourceQuota Secret Service ServiceAccount",
        "Namespace Node PersistentVolume",
    ),
    (
        "admissionregistration.k8s.io/v1",
        "",
        "MutatingWebhookConfiguration ValidatingAdmissionPolicy ValidatingAdmissionPolicyBinding \
         ValidatingWebhookConfiguration",
    ),
    ("apiextensions.k8s.io/v1", "", "CustomResourceDefinition"),
    ("apiregistration.k8s.io/v1", "", "APIService"),
    (
        "apps/v1",
        "ControllerRevision DaemonSet Deployment ReplicaSet StatefulSet",
        "",
    ),
    ("autoscaling/v2", "HorizontalPodAutoscaler", ""),
    ("batch/v1", "CronJob Job", ""),
    ("certificates.k8s.io/v1", "", "CertificateSigningRequest"),
    ("coordination.k8s.io/v1", "Lease", ""),
    ("discovery.k8s.io/v1", "EndpointSlice", ""),
    (
        "flowcontrol.apiserver.k8s.io/v1",
        "",
        "FlowSchema PriorityLevelConfiguration",
    ),
    ("networking.k8s.io/v1", "Ingress NetworkPolicy", "IngressClass"),
    ("node.k8s.io/v1", "", "RuntimeClass"),
    ("policy/v1", "PodDisruptionBudget", ""),
    (
        "rbac.authorization.k8s.io/v1",
        "Role RoleBinding",
        "ClusterRole ClusterRoleBinding",
    ),
    ("scheduling.k8s.io/v1", "", "PriorityClass"),
    ("storage.k8s.io/v1", "", "CSIDriver StorageClass"),
];

/// Finds a kind in the table.
pub fn known(api_version: &str, kind: &str) -> Option<Kind> {
    let found = rows().find(|row| row.0 == api_version && row.1 == kind);
    found.map(|(_, kind, is_namespaced)| address(kind, is_namespaced))
}

/// Every kind in the table: `apiVersion`, kind, and how it is addressed.
pub(in super::super) fn all_known() -> Vec<(String, String, Kind)> {
    rows()
        .map(|(api_version, kind, is_namespaced)| {
            (
                api_version.to_owned(),
                kind.to_owned(),
                address(kind, is_namespaced),
            )
        })
        .collect()
}

/// `apiVersion`, kind, and whether its objects live in namespaces.
fn rows() -> impl Iterator<Item = (&'static str, &'static str, bool)> {
    KNOWN.iter().flat_map(|(api_version, namespaced, of_cluster)| {
        let namespaced = namespaced
            .split_whitespace()
            .map(|kind| (*api_version, kind, true));
        let of_cluster = of_cluster
            .split_whitespace()
            .map(|kind| (*api_version, kind, false));
        namespaced.chain(of_cluster)
    })
}

fn address(kind: &str, is_namespaced: bool) -> Kind {
    Kind {
        plural: plural(kind),
        is_namespaced,
    }
}

/// The plural as the API has it; the rules hold for the table, not for every word.
fn plural(kind: &str) -> String {
    let word = kind.to_lowercase();
    if word == "endpoints" {
        word
    } else if let Some(stem) = word.strip_suffix('y') {
        format!("{stem}ies")
    } else if word.ends_with('s') {
        format!("{word}es")
    } else {
        format!("{word}s")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_table_has_no_kind_twice() {
        let different: BTreeSet<_> = rows().collect();
        assert_eq!(different.len(), rows().count());
    }

    #[test]
    fn plurals_are_those_of_the_api() {
        let plurals = [
            "APIService",
            "CSIDriver",
            "Endpoints",
            "Ingress",
            "NetworkPolicy",
            "RuntimeClass",
            "Lease",
        ]
        .map(plural);
        assert_eq!(
            plurals,
            [
                "apiservices",
                "csidrivers",
                "endpoints",
                "ingresses",
                "networkpolicies",
                "runtimeclasses",
                "leases"
            ]
        );
    }
}
