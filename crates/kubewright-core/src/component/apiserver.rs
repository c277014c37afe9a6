//! The API server: on every control plane, talking to the local etcd member only.
//!
//! With all members as endpoints, a silently cut one would stall every API server (the etcd client spreads its
//! requests). Anonymous requests reach the three health endpoints and nothing else; secrets are encrypted in etcd;
//! requests are audited; pods are held to a Pod Security level where their namespace does not choose one.

use std::net::{IpAddr, SocketAddr};

use serde_json::{Value, json};

use super::description::on_control_planes;
use super::port::local;
use super::trust::{TOKEN_SIGNERS, authority_id, secret_id};
use super::view::{View, directory, file_for};
use super::{
    Account, Arguments, CIPHER_SUITES, Component, Confinement, Description, Limits, Port, Probe, Process,
    Program, Reach, Readiness, Traces, client_certificate, etcd, local_serving_certificate, to_yaml,
};
use crate::manifest::KUBELET_API_GROUP;
use crate::pki::{ENCRYPTION_CONFIG_PATH, SERVICE_ACCOUNT_KEY_PATH, SERVICE_ACCOUNT_PUBLIC_PATH};
use crate::resource::{Access, AuthorityName, Certificate, Resource, ResourceId, Stage, Start, Usage};
use crate::spec::{Audit, ComponentName, Oidc, SubjectAltName};

/// The component's name.
pub const NAME: &str = "kube-apiserver";
/// The port API servers listen on.
pub const PORT: u16 = 6443;
/// The name every API server's certificate has and no other certificate of the authority: clients verify it at every
/// address. A kubelet's certificate is of the same authority.
pub const SERVER_NAME: &str = "kubernetes";
/// Where it is reached on its own node.
pub const LOCAL: SocketAddr = local(PORT);
/// Where it tells that it is ready.
pub const PROBE: Probe = Probe::https(PORT, "/readyz").named(SERVER_NAME);

const AUTHENTICATION_PATH: &str = "/etc/kubernetes/authentication.yaml";
const ADMISSION_PATH: &str = "/etc/kubernetes/admission.yaml";
const AUDIT_POLICY_PATH: &str = "/etc/kubernetes/audit-policy.yaml";
const LOG_DIRECTORY: &str = "/var/log/kubernetes";
const AUDIT_LOG_PATH: &str = "/var/log/kubernetes/audit.log";

/// The API server, on control planes.
pub const DESCRIPTION: Description = Description {
    title: "the Kubernetes API server",
    program: Program::Catalogue(NAME),
    binaries: &[NAME],
    account: Some(Account::homeless(NAME)),
    ports: &[Port::tcp(PORT, "the API server", Reach::Everybody)],
    probe: Some(PROBE),
    traces: Traces {
        directories: &[LOG_DIRECTORY],
        ..Traces::NONE
    },
    on_restart: |others| {
        Some(match others {
            0 => "the Kubernetes API is unavailable for some seconds; pods keep running".to_owned(),
            _ => format!("its API server is away for a few seconds, the other {others} answer"),
        })
    },
    ..Description::new(NAME, Stage::ControlPlane, on_control_planes)
};

/// The API server of the same node, for the controllers beside it.
pub(super) fn local_url() -> String {
    format!("https://{LOCAL}")
}

/// The API server of a control plane.
pub fn component(view: &View) -> Component {
    let mut component = Component::new(&DESCRIPTION);
    let certificates = Certificates::new(view);
    let process = process(view, &certificates);
    component.reads.push(Resource::Binary(view.binary(NAME)));
    component.reads.push(file_for(
        NAME,
        AUTHENTICATION_PATH,
        to_yaml(&authentication(view)),
    ));
    component
        .reads
        .push(file_for(NAME, ADMISSION_PATH, to_yaml(&admission(view))));
    component
        .reads
        .push(directory(LOG_DIRECTORY, Access::of(NAME, 0o700)));
    if is_audited(view) {
        component
            .reads
            .push(file_for(NAME, AUDIT_POLICY_PATH, to_yaml(&audit_policy())));
    }
    component.shared = vec![
        authority_id(AuthorityName::Kubernetes),
        authority_id(AuthorityName::Etcd),
        authority_id(AuthorityName::FrontProxy),
        secret_id(SERVICE_ACCOUNT_KEY_PATH),
        ResourceId::new("file", SERVICE_ACCOUNT_PUBLIC_PATH),
    ];
    // Renewed certificates are picked up while it runs; the encryption configuration as well.
    component.rereads = certificates.into_resources();
    component.process = Some(process);
    component
}

struct Certificates {
    serving: Certificate,
    etcd_client: Certificate,
    kubelet_client: Certificate,
    front_proxy_client: Certificate,
}

impl Certificates {
    fn new(view: &View) -> Self {
        Self {
            serving: serving(view),
            etcd_client: client_certificate(
                "apiserver-etcd-client",
                AuthorityName::Etcd,
                "kube-apiserver-etcd-client",
                &[],
                "/etc/kubernetes/pki/apiserver-etcd-client",
            ),
            kubelet_client: client_certificate(
                "apiserver-kubelet-client",
                AuthorityName::Kubernetes,
                "kube-apiserver-kubelet-client",
                &[KUBELET_API_GROUP],
                "/etc/kubernetes/pki/apiserver-kubelet-client",
            ),
            front_proxy_client: client_certificate(
                "front-proxy-client",
                AuthorityName::FrontProxy,
                "front-proxy-client",
                &[],
                "/etc/kubernetes/pki/front-proxy-client",
            ),
        }
    }

    fn into_resources(self) -> Vec<Resource> {
        [
            self.serving,
            self.etcd_client,
            self.kubelet_client,
            self.front_proxy_client,
        ]
        .map(|mut certificate| {
            certificate.key_access = Access::readable_by(NAME);
            Resource::Certificate(certificate)
        })
        .into()
    }
}

fn serving(view: &View) -> Certificate {
    let domain = &view.cluster.network.domain;
    let mut names: Vec<String> = [
        SERVER_NAME.to_owned(),
        "kubernetes.default".to_owned(),
        "kubernetes.default.svc".to_owned(),
        format!("kubernetes.default.svc.{domain}"),
        view.name().to_owned(),
    ]
    .into();
    let mut addresses: Vec<IpAddr> = vec![view.node.address, view.cluster.api_service_ip()];
    let control_plane = &view.cluster.control_plane;
    let endpoint = control_plane.endpoint.iter().map(|endpoint| &endpoint.host);
    for name in endpoint.chain(&control_plane.extra_sans) {
        match name {
            SubjectAltName::Ip(address) => addresses.push(*address),
            SubjectAltName::Dns(name) => names.push(name.clone()),
        }
    }
    let mut certificate = local_serving_certificate(
        "apiserver",
        AuthorityName::Kubernetes,
        "kube-apiserver",
        names,
        addresses,
        "/etc/kubernetes/pki/apiserver",
    );
    certificate.usages = vec![Usage::ServerAuth];
    certificate
}

fn process(view: &View, certificates: &Certificates) -> Process {
    let mut process = Process::new(&DESCRIPTION);
    process.arguments = arguments(view, certificates);
    process.systemd.readiness = Readiness::Notify { timeout_seconds: 300 };
    process.systemd.start = Start::Ask;
    process.starts_after = vec![etcd::NAME];
    process.groups = vec![TOKEN_SIGNERS.name];
    process.confinement = Confinement::Strict {
        writable: vec![LOG_DIRECTORY],
    };
    process.limits = Limits {
        open_files: Some(65536),
        oom_score_adjust: Some(-900),
        parent_of_containers: false,
    };
    process
}

fn arguments(view: &View, certificates: &Certificates) -> Arguments {
    let network = &view.cluster.network;
    let issuer = format!("https://kubernetes.default.svc.{}", network.domain);
    let cluster_authority = AuthorityName::Kubernetes.certificate_path();
    let etcd_authority = AuthorityName::Etcd.certificate_path();
    let front_proxy_authority = AuthorityName::FrontProxy.certificate_path();
    let mut arguments = Arguments::new([
        ("advertise-address", &view.node.address.to_string()),
        ("secure-port", &PORT.to_string()),
        ("etcd-servers", &etcd::local_url()),
        ("etcd-cafile", etcd_authority),
        ("etcd-certfile", &certificates.etcd_client.certificate_path),
        ("etcd-keyfile", &certificates.etcd_client.key_path),
        ("tls-cert-file", &certificates.serving.certificate_path),
        ("tls-private-key-file", &certificates.serving.key_path),
        ("tls-min-version", "VersionTLS12"),
        ("tls-cipher-suites", &CIPHER_SUITES.join(",")),
        ("client-ca-file", cluster_authority),
        ("authentication-config", AUTHENTICATION_PATH),
        ("authorization-mode", "Node,RBAC"),
        ("enable-admission-plugins", "NodeRestriction"),
        ("admission-control-config-file", ADMISSION_PATH),
        ("allow-privileged", "true"),
        ("service-cluster-ip-range", &network.service_cidr.to_string()),
        ("service-account-issuer", &issuer),
        ("service-account-key-file", SERVICE_ACCOUNT_PUBLIC_PATH),
        ("service-account-signing-key-file", SERVICE_ACCOUNT_KEY_PATH),
        ("service-account-extend-token-expiration", "false"),
        ("kubelet-certificate-authority", cluster_authority),
        (
            "kubelet-client-certificate",
            &certificates.kubelet_client.certificate_path,
        ),
        ("kubelet-client-key", &certificates.kubelet_client.key_path),
        ("kubelet-preferred-address-types", "InternalIP"),
        (
            "proxy-client-cert-file",
            &certificates.front_proxy_client.certificate_path,
        ),
        ("proxy-client-key-file", &certificates.front_proxy_client.key_path),
        ("requestheader-client-ca-file", front_proxy_authority),
        (
            "requestheader-allowed-names",
            &certificates.front_proxy_client.common_name,
        ),
        ("requestheader-username-headers", "X-Remote-User"),
        ("requestheader-group-headers", "X-Remote-Group"),
        ("requestheader-extra-headers-prefix", "X-Remote-Extra-"),
        ("encryption-provider-config", ENCRYPTION_CONFIG_PATH),
        ("encryption-provider-config-automatic-reload", "true"),
        ("profiling", "false"),
    ]);
    if is_audited(view) {
        arguments.set("audit-policy-file", AUDIT_POLICY_PATH);
        arguments.set("audit-log-path", AUDIT_LOG_PATH);
        arguments.set("audit-log-maxage", "30");
        arguments.set("audit-log-maxbackup", "10");
        arguments.set("audit-log-maxsize", "100");
    }
    if view.cluster.control_planes().nth(1).is_some() {
        // Long-lived connections drift to the server that has been up longest; one request in a thousand reconnects.
        arguments.set("goaway-chance", "0.001");
    }
    if let Some(overrides) = view.overrides(ComponentName::KubeApiserver) {
        arguments.set_all(&overrides.extra_args);
    }
    arguments
}

fn is_audited(view: &View) -> bool {
    view.cluster.security.audit != Audit::None
}

/// Anonymous requests reach the health endpoints, for load balancers and probes, and nothing else.
/// Who is let in besides certificates and service accounts; structured, so that `oidc-*` arguments are not needed.
fn authentication(view: &View) -> Value {
    let mut value = json!({
        "apiVersion": "apiserver.config.k8s.io/v1",
        "kind": "AuthenticationConfiguration",
        "anonymous": {
            "enabled": true,
            "conditions": [{"path": "/livez"}, {"path": "/readyz"}, {"path": "/healthz"}],
        },
    });
    if let Some(oidc) = &view.cluster.oidc {
        value["jwt"] = json!([issuer(oidc)]);
    }
    value
}

fn issuer(oidc: &Oidc) -> Value {
    let mut issuer = json!({"url": oidc.issuer, "audiences": [oidc.client_id]});
    if let Some(ca) = &oidc.ca {
        issuer["certificateAuthority"] = json!(ca);
    }
    let mut mappings = json!({"username": {"claim": oidc.username_claim, "prefix": oidc.prefix}});
    if let Some(groups) = &oidc.groups_claim {
        mappings["groups"] = json!({"claim": groups, "prefix": oidc.prefix});
    }
    json!({"issuer": issuer, "claimMappings": mappings})
}

fn admission(view: &View) -> Value {
    json!({
        "apiVersion": "apiserver.config.k8s.io/v1",
        "kind": "AdmissionConfiguration",
        "plugins": [{
            "name": "PodSecurity",
            "configuration": {
                "apiVersion": "pod-security.admission.config.k8s.io/v1",
                "kind": "PodSecurityConfiguration",
                "defaults": {
                    "enforce": view.cluster.security.pod_security.as_str(),
                    "enforce-version": "latest",
                    "audit": "restricted",
                    "audit-version": "latest",
                    "warn": "restricted",
                    "warn-version": "latest",
                },
                "exemptions": {"usernames": [], "runtimeClasses": [], "namespaces": ["kube-system"]},
            },
        }],
    })
}

/// Who did what to which object, never its content. What only says that the cluster is alive is left out.
fn audit_policy() -> Value {
    let core = |resources: &[&str]| json!([{"group": "", "resources": resources}]);
    json!({
        "apiVersion": "audit.k8s.io/v1",
        "kind": "Policy",
        "omitStages": ["RequestReceived"],
        "omitManagedFields": true,
        "rules": [
            {
                "level": "None",
                "nonResourceURLs": ["/healthz*", "/livez*", "/readyz*", "/version", "/openapi/*"],
            },
            // A node's credentials read the Secrets of its pods: whoever has stolen them is seen here.
            {"level": "Metadata", "resources": core(&["secrets"])},
            {
                "level": "None",
                "users": [
                    "system:kube-controller-manager",
                    "system:kube-proxy",
                    "system:kube-scheduler",
                    "system:apiserver",
                ],
                "verbs": ["get", "list", "watch"],
            },
            {"level": "None", "userGroups": ["system:nodes"], "verbs": ["get", "list", "watch"]},
            {
                "level": "None",
                "verbs": ["get", "update", "patch"],
                "resources": [{"group": "coordination.k8s.io", "resources": ["leases"]}],
            },
            {"level": "None", "resources": core(&["events"])},
            {"level": "None", "resources": [{"group": "events.k8s.io", "resources": ["events"]}]},
            {"level": "Metadata"},
        ],
    })
}
