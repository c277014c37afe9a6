//! etcd: one member on every control plane, its own user, its own authority, TLS for clients and peers.
//!
//! **A cluster is formed exactly once.** The unit itself says `existing` and refuses to start on an empty data
//! directory: it needs either the data ([`MEMBER_DIRECTORY`]) or the permission to begin without
//! ([`BEGIN_PATH`], an environment file with the initial membership and `new`, or, for one that joins, with all members
//! and `existing`). Only the run that bootstraps, or takes a control plane in, has that file among its resources; it lies on tmpfs and the unit removes it as soon as the member serves, so neither a
//! reboot nor a later apply finds it. It is no input of the unit: that it comes and goes restarts nothing. A member
//! that loses its data later stays down with a clear message, instead of founding a second cluster or voting twice.
//! A bootstrap that was interrupted is taken up by the next run, which still has the permission to give, until every
//! member was healthy once and the nodes have remembered that (`Settle`).

mod database;

use std::collections::BTreeMap;
use std::net::SocketAddr;

use super::description::on_control_planes;
use super::port::local;
use super::trust::authority_id;
use super::view::{View, directory, public_file};
use super::{
    Account, Arguments, Call, Command, Component, Confinement, Description, Limits, Port, Probe, Process,
    Program, Reach, Readiness, Rival, Traces, UnitTrace, client_certificate, local_serving_certificate,
};
use crate::founding::EtcdStart;
use crate::observed::{PEER_PORT, peer_url};
use crate::resource::{Access, AuthorityName, Certificate, Digest, Resource, Stage, Start, Usage};
use crate::spec::ComponentName;

pub use self::database::Filling;

/// The component's name.
pub const NAME: &str = "etcd";
/// Where the data is.
pub const DATA_DIRECTORY: &str = "/var/lib/etcd";
/// The database itself.
pub const DATABASE: &str = "/var/lib/etcd/member/snap/db";
/// What is there when the data directory holds a member.
pub const MEMBER_DIRECTORY: &str = "/var/lib/etcd/member";
/// The permission to begin without data; on tmpfs, removed once the member serves.
pub const BEGIN_PATH: &str = "/run/kubewright-etcd-begin.env";
/// Where it tells its health, without TLS and only on the node itself.
pub const PROBE: Probe = Probe::http(METRICS_PORT, "/health");
/// Where clients connect on the node itself.
pub const LOCAL: SocketAddr = local(CLIENT_PORT);

const USER: &str = "etcd";
const CLIENT_PORT: u16 = 2379;
const METRICS_PORT: u16 = 2381;

/// etcd, on control planes.
pub const DESCRIPTION: Description = Description {
    title: "etcd, the cluster's database",
    program: Program::Catalogue(NAME),
    binaries: &[NAME],
    account: Some(Account {
        name: USER,
        home: DATA_DIRECTORY,
    }),
    calls: &[Call::always("rm")],
    ports: &[
        Port::tcp(CLIENT_PORT, "etcd's clients", Reach::ControlPlanes),
        Port::tcp(PEER_PORT, "etcd's peers", Reach::ControlPlanes),
        Port::local(METRICS_PORT, "etcd's metrics"),
    ],
    probe: Some(PROBE),
    traces: Traces {
        directories: &[DATA_DIRECTORY],
        ..Traces::NONE
    },
    rival: Some(Rival {
        unit: Some(UnitTrace::File),
        ..Rival::new("another etcd", "and move its unit file and /var/lib/etcd away")
    }),
    on_restart: |others| {
        Some(match others {
            0 => "the only etcd member is away for some seconds, and the API with it; pods keep running"
                .to_owned(),
            _ => format!(
                "its etcd member is away for a few seconds, the other {others} keep the quorum; if it leads, another one is \
                 made the leader before"
            ),
        })
    },
    ..Description::new(NAME, Stage::Etcd, on_control_planes)
};

/// The same as a URL.
pub(super) fn local_url() -> String {
    format!("https://{LOCAL}")
}

/// etcd on a control plane.
pub fn component(view: &View) -> Component {
    let mut component = Component::new(&DESCRIPTION);
    component
        .reads
        .push(directory(DATA_DIRECTORY, Access::of(USER, 0o700)));
    component.reads.push(Resource::Binary(view.binary(NAME)));
    component.shared.push(authority_id(AuthorityName::Etcd));

    // etcd reads certificates again for every connection.
    let (server, peer) = (server_certificate(view), peer_certificate(view));
    let process = process(view, &server, &peer);
    component
        .rereads
        .extend([server, peer, health_check_certificate()].map(Resource::Certificate));
    match view.context.etcd.get(view.name()) {
        Some(EtcdStart::Found) => component.rereads.push(permission_to_found(view)),
        Some(EtcdStart::Join(members)) => component.rereads.push(permission_to_join(members)),
        Some(EtcdStart::Lost | EtcdStart::Member) | None => {}
    }
    component.process = Some(process);
    component
}

fn process(view: &View, server: &Certificate, peer: &Certificate) -> Process {
    let client_url = format!("https://{}", view.socket(CLIENT_PORT));
    let peer_url = peer_url(view.node.address);
    let authority = AuthorityName::Etcd.certificate_path();
    let mut arguments = Arguments::new([
        ("name", view.name()),
        ("data-dir", DATA_DIRECTORY),
        ("listen-client-urls", &format!("{client_url},{}", local_url())),
        ("advertise-client-urls", &client_url),
        ("listen-peer-urls", &peer_url),
        ("initial-advertise-peer-urls", &peer_url),
        ("listen-metrics-urls", &format!("http://{}", local(METRICS_PORT))),
        ("client-cert-auth", "true"),
        ("trusted-ca-file", authority),
        ("cert-file", &server.certificate_path),
        ("key-file", &server.key_path),
        ("peer-client-cert-auth", "true"),
        ("peer-trusted-ca-file", authority),
        ("peer-cert-file", &peer.certificate_path),
        ("peer-key-file", &peer.key_path),
        ("tls-min-version", "TLS1.3"),
        ("auto-compaction-mode", "periodic"),
        ("auto-compaction-retention", "8h"),
        (database::QUOTA_ARGUMENT, &database::QUOTA.to_string()),
        ("feature-gates", "InitialCorruptCheck=true,CompactHashCheck=true"),
    ]);
    if let Some(overrides) = view.overrides(ComponentName::Etcd) {
        arguments.set_all(&overrides.extra_args);
    }

    let mut process = Process::new(&DESCRIPTION);
    process.arguments = arguments;
    process
        .environment
        .insert("ETCD_INITIAL_CLUSTER_STATE".to_owned(), "existing".to_owned());
    process.systemd.environment_file = Some(BEGIN_PATH);
    process.systemd.requires_any = vec![MEMBER_DIRECTORY, BEGIN_PATH];
    // Up is a member that serves, which takes a quorum: the start is asked for on all, and waited for by its health.
    process.systemd.readiness = Readiness::Notify { timeout_seconds: 600 };
    process.systemd.start = Start::Ask;
    process.systemd.after_start = vec![Command::new(["rm", "-f", BEGIN_PATH]).privileged()];
    process.confinement = Confinement::Strict {
        writable: vec![DATA_DIRECTORY],
    };
    process.limits = Limits {
        open_files: Some(65536),
        oom_score_adjust: Some(-900),
        parent_of_containers: false,
    };
    process
}

/// etcd's gateway dials its own server with the server's certificate, so it is a client certificate as well.
fn server_certificate(view: &View) -> Certificate {
    own(local_serving_certificate(
        "etcd-server",
        AuthorityName::Etcd,
        view.name(),
        [view.name().to_owned()],
        [view.node.address],
        "/etc/kubernetes/pki/etcd/server",
    ))
}

fn peer_certificate(view: &View) -> Certificate {
    own(local_serving_certificate(
        "etcd-peer",
        AuthorityName::Etcd,
        view.name(),
        [view.name().to_owned()],
        [view.node.address],
        "/etc/kubernetes/pki/etcd/peer",
    ))
}

fn own(mut certificate: Certificate) -> Certificate {
    certificate.usages = vec![Usage::ServerAuth, Usage::ClientAuth];
    certificate.key_access = Access::of(USER, 0o600);
    certificate
}

/// What etcdctl needs on a control plane, as root, to be answered by the member there.
pub const ETCDCTL_OPTIONS: &str = "--endpoints https://127.0.0.1:2379 --cacert /etc/kubernetes/pki/etcd/ca.crt \
     --cert /etc/kubernetes/pki/etcd/healthcheck-client.crt --key /etc/kubernetes/pki/etcd/healthcheck-client.key";

/// For etcdctl and health checks; only root can use it.
fn health_check_certificate() -> Certificate {
    client_certificate(
        "etcd-healthcheck-client",
        AuthorityName::Etcd,
        "kube-etcd-healthcheck-client",
        &[],
        "/etc/kubernetes/pki/etcd/healthcheck-client",
    )
}

/// The initial membership, all control planes at once. The token keeps members of an earlier cluster on the same
/// addresses apart.
fn permission_to_found(view: &View) -> Resource {
    let members: Vec<String> = view
        .cluster
        .control_planes()
        .map(|node| format!("{}={}", node.name, peer_url(node.address)))
        .collect();
    let authority = Digest::of(view.authority(AuthorityName::Etcd).as_bytes());
    let content = format!(
        "ETCD_INITIAL_CLUSTER_STATE=new\nETCD_INITIAL_CLUSTER={}\nETCD_INITIAL_CLUSTER_TOKEN={}-{}\n",
        members.join(","),
        view.cluster.name,
        authority.short(),
    );
    public_file(BEGIN_PATH, content)
}

/// The members that are there and the one that joins: etcd compares them with what the others say.
fn permission_to_join(members: &BTreeMap<String, String>) -> Resource {
    let members: Vec<String> = members
        .iter()
        .map(|(name, url)| format!("{name}={url}"))
        .collect();
    let content = format!(
        "ETCD_INITIAL_CLUSTER_STATE=existing\nETCD_INITIAL_CLUSTER={}\n",
        members.join(",")
    );
    public_file(BEGIN_PATH, content)
}
