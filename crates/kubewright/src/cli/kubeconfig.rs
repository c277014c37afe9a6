//! `kubewright kubeconfig`.

mod identity;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use kubewright_control::kube::kubeconfig::{self, Access};
use kubewright_control::observe::{Seen, UnreachablePolicy};
use kubewright_control::operation_log::{OperationLog, begun};
use kubewright_control::report::{Event, Reporter as _, Silent};
use kubewright_control::session::Purpose;
use kubewright_core::component::apiserver;
use kubewright_core::observed::{Health, Observed};
use kubewright_core::operation_log::Ending;
use kubewright_core::plan::{StepId, StepKind};
use kubewright_core::resource::AuthorityName;
use kubewright_core::shown::shown;
use kubewright_core::spec::{Cluster, Node};

use self::identity::Identity;
use super::operations::directory;
use super::session::{self, Opened};
use crate::failure::{ErrorId, Failure, Kind};
use crate::settings::GlobalFlags;
use crate::ui::Ui;

/// Arguments of `kubeconfig`.
#[derive(clap::Args, Debug)]
pub(crate) struct Arguments {
    /// Merge it into the first file of KUBECONFIG (default: ~/.kube/config) instead of printing it
    #[arg(long)]
    merge: bool,
    /// With --merge: replace entries of another cluster of the same name without asking
    #[arg(long, requires = "merge")]
    force: bool,
    /// Issue it for this user name instead of the administrator
    #[arg(long, value_name = "NAME", requires = "group")]
    user: Option<String>,
    /// A group of that user (repeat for several)
    #[arg(long, value_name = "G", requires = "user")]
    group: Vec<String>,
    /// Validity, such as 45m, 8h or 30d (1m to 365d, default 90d; with --break-glass at most 24h)
    #[arg(long, value_parser = lifetime)]
    ttl: Option<Duration>,
    /// Allow users and groups that start with system:, such as system:masters; recorded in the operation log
    #[arg(long, requires = "group")]
    break_glass: bool,
}

/// Issues and prints or merges.
pub(crate) async fn run(arguments: &Arguments, flags: &GlobalFlags, ui: &Ui) -> Result<(), Failure> {
    let identity = Identity::of(
        arguments.user.as_deref(),
        &arguments.group,
        arguments.ttl,
        arguments.break_glass,
    )?;
    let opened = session::open("kubeconfig", flags, ui)?.with_policy(UnreachablePolicy::OneControlPlane);
    let cluster = &opened.file.cluster;
    let purpose = if identity.is_irrevocable {
        // Only who holds a node's lock may write its operation log.
        Purpose::Change
    } else {
        Purpose::Read
    };
    let look = opened.first_look(purpose).await?;
    session::tell_absent(&look.observed, ui);
    if !look.observed.is_bootstrapped() {
        return Err(Failure::named(
            ErrorId::NoClusterYet,
            format!("cluster {} does not exist yet", cluster.name),
        )
        .hint("create it first: kubewright apply"));
    }
    let user = identity.user.as_str();
    let credentials = look
        .authorities
        .issue_client(user, &identity.groups, identity.lifetime, SystemTime::now())
        .map_err(|error| session::failure(&error.into()))?;
    if identity.is_irrevocable {
        record(&identity, &look, &opened).await;
    }
    let certificates = look.authorities.certificates();
    let servers = Servers::of(cluster, &look.observed);
    let cluster_id = super::plan::cluster_id(&look.observed);
    let access = Access {
        cluster: cluster.name.as_str(),
        cluster_id: cluster_id.as_deref(),
        server: &servers.first,
        others: &servers.others,
        authority_pem: certificates
            .get(&AuthorityName::Kubernetes)
            .map_or("", String::as_str),
        user,
        certificate_pem: &credentials.certificate,
        key_pem: &credentials.key,
    };
    if !arguments.merge {
        let text = kubeconfig::render(&access).map_err(|error| Failure::from_error(Kind::Bug, &error))?;
        ui.secret(&text);
        servers.advise(&access, ui);
        return Ok(());
    }
    let path = followed(target()?);
    let present = read(&path)?;
    if !arguments.force {
        ask_about_another(&path, &present, &access, ui)?;
    }
    merge(&path, &present, &access)?;
    ui.say(&format!(
        "merged into {} as {}; try: kubectl get nodes",
        path.display(),
        access.context()
    ));
    servers.advise(&access, ui);
    Ok(())
}

/// Has the operation log tell who issued what, before it is handed out.
async fn record(identity: &Identity, look: &Seen, opened: &Opened) {
    let mut begun = begun(
        &opened.session,
        "kubeconfig",
        opened.file.path.display().to_string(),
    );
    (begun.steps, begun.changes) = (1, 1);
    let control_planes = opened.file.cluster.control_planes();
    let keepers = control_planes.filter_map(|node| {
        let name = node.name.to_string();
        let connection = look.nodes.get(&name)?.clone();
        Some((name, connection))
    });
    let keepers = keepers.collect();
    let beside = Some(directory(opened));
    let log = OperationLog::begin(&opened.session, begun, &keepers, beside, Arc::new(Silent)).await;
    let step = StepId::of_cluster(StepKind::Kubeconfig);
    let title = identity.title();
    log.event(&Event::StepStarted {
        step: step.clone(),
        node: None,
        title: title.clone(),
    });
    log.event(&Event::StepFinished {
        step,
        node: None,
        title,
        changed: 1,
        seconds: 0.0,
    });
    log.finish(Ending::Done, 1).await;
}

/// Where people reach the API.
struct Servers {
    /// The endpoint of the file, or a control plane that answers now.
    first: String,
    /// Every control plane by its name, where the file has no endpoint and there is more than one.
    others: BTreeMap<String, String>,
    /// The control plane that `first` is, and one that it is not.
    used_and_spare: Option<(String, String)>,
}

impl Servers {
    fn of(cluster: &Cluster, observed: &Observed) -> Self {
        let none = |first| Self {
            first,
            others: BTreeMap::new(),
            used_and_spare: None,
        };
        if let Some(endpoint) = &cluster.control_plane.endpoint {
            return none(format!("https://{endpoint}"));
        }
        let url = |node: &Node| format!("https://{}", SocketAddr::new(node.address, apiserver::PORT));
        let is_ready = |node: &&Node| {
            let seen = observed.nodes.get(node.name.as_str());
            seen.is_some_and(|seen| seen.facts.api_server == Some(Health::Ready))
        };
        let mut ready = cluster.control_planes().filter(is_ready);
        let Some(used) = ready.next().or_else(|| cluster.control_planes().next()) else {
            return none(String::new());
        };
        let is_other = |node: &&Node| node.name != used.name;
        let spare = ready
            .find(is_other)
            .or_else(|| cluster.control_planes().find(is_other));
        let Some(spare) = spare else {
            return none(url(used));
        };
        Self {
            first: url(used),
            others: cluster
                .control_planes()
                .map(|node| (node.name.to_string(), url(node)))
                .collect(),
            used_and_spare: Some((used.name.to_string(), spare.name.to_string())),
        }
    }

    /// Says what to do when the control plane that is used is down.
    fn advise(&self, access: &Access<'_>, ui: &Ui) {
        if let Some((used, spare)) = &self.used_and_spare {
            ui.say(&format!(
                "cluster.yaml has no controlPlane.endpoint: kubectl connects to {used}; if it is down, use: kubectl --context {}",
                access.context_through(spare)
            ));
        }
    }
}

fn target() -> Result<PathBuf, Failure> {
    let first = std::env::var_os("KUBECONFIG")
        .and_then(|list| std::env::split_paths(&list).next())
        .filter(|path| !path.as_os_str().is_empty());
    first
        .or_else(|| std::env::var_os("HOME").map(|home| Path::new(&home).join(".kube/config")))
        .ok_or_else(|| {
            Failure::new(Kind::User, "neither KUBECONFIG nor HOME is set").hint("set KUBECONFIG=FILE")
        })
}

/// Follows symbolic links: people keep the file elsewhere, and the link must stay one.
fn followed(path: PathBuf) -> PathBuf {
    if let Ok(file) = path.canonicalize() {
        return file;
    }
    // A link to a file that is not there yet.
    match (path.read_link(), path.parent()) {
        (Ok(target), Some(directory)) => directory.join(target),
        _ => path,
    }
}

fn failed(path: &Path, error: &dyn std::fmt::Display) -> Failure {
    Failure::named(ErrorId::LocalFailure, format!("merge into {}", path.display())).because(error.to_string())
}

fn read(path: &Path) -> Result<String, Failure> {
    match std::fs::read_to_string(path) {
        Ok(present) => Ok(present),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(String::new()),
        Err(error) => Err(failed(path, &error)),
    }
}

/// What to do about another cluster's entries.
const ANOTHER: &str = "merge into another file with KUBECONFIG=FILE, or replace the entries with --force";

/// Asks before entries of the same name are replaced that lead to another cluster.
fn ask_about_another(path: &Path, present: &str, access: &Access<'_>, ui: &Ui) -> Result<(), Failure> {
    let other = kubeconfig::other_cluster(present, access).map_err(|error| failed(path, &error))?;
    let Some(server) = other else { return Ok(()) };
    let what = format!(
        "{} has another cluster called {} ({})",
        path.display(),
        access.cluster,
        shown(&server)
    );
    if !ui.can_ask() {
        return Err(Failure::named(ErrorId::NobodyToAnswer, what).hint(ANOTHER));
    }
    if ui.confirm(&format!("{what}; replace its entries?"))? {
        return Ok(());
    }
    Err(Failure::named(ErrorId::NotConfirmed, "nothing was changed")
        .because(what)
        .hint(ANOTHER))
}

/// Writes beside the file and renames, so that nobody's kubeconfig is ever half there or readable by others.
fn merge(path: &Path, present: &str, access: &Access<'_>) -> Result<(), Failure> {
    let failed = |error: &dyn std::fmt::Display| failed(path, error);
    let merged = kubeconfig::merge(present, access).map_err(|error| failed(&error))?;
    let directory = path.parent().unwrap_or_else(|| Path::new("."));
    std::fs::create_dir_all(directory).map_err(|error| failed(&error))?;
    let mut file = tempfile::NamedTempFile::new_in(directory).map_err(|error| failed(&error))?;
    file.write_all(merged.expose())
        .and_then(|()| file.as_file().sync_all())
        .map_err(|error| failed(&error))?;
    file.persist(path).map_err(|error| failed(&error.error))?;
    Ok(())
}

/// Reads the validity of a certificate: `8h`, `30d`, `45m`.
fn lifetime(text: &str) -> Result<Duration, String> {
    duration_from(text, Duration::from_secs(60), "1m")
}

/// Reads a time of at least `shortest` (for people: `named`) and of at most a year.
pub(super) fn duration_from(text: &str, shortest: Duration, named: &str) -> Result<Duration, String> {
    const LONGEST: Duration = Duration::from_secs(365 * 86400);
    let problem = || format!("{text:?} is not a time such as 8h, 45m or 30d");
    let (number, unit) = text
        .split_at_checked(text.len().saturating_sub(1))
        .ok_or_else(problem)?;
    let number: u64 = number.parse().map_err(|_| problem())?;
    let seconds = match unit {
        "m" => 60,
        "h" => 3600,
        "d" => 86400,
        _ => return Err(problem()),
    };
    match number.checked_mul(seconds).map(Duration::from_secs) {
        Some(total) if (shortest..=LONGEST).contains(&total) => Ok(total),
        _ => Err(format!("choose between {named} and 365d")),
    }
}

#[cfg(test)]
mod tests {
    use kubewright_core::observed::ObservedNode;
    use kubewright_core::secret::Secret;
    use kubewright_core::spec::parse;

    use super::*;

    fn cluster(control_planes: u8, more: &str) -> Cluster {
        let nodes: String = (1..=control_planes)
            .map(|number| {
                format!("    - {{ name: cp-{number}, address: 192.0.2.1{number}, roles: [control-plane] }}\n")
            })
            .collect::<Vec<_>>()
            .concat();
        let text = format!(
            "apiVersion: kubewright/v1alpha1\nkind: Cluster\nmetadata:\n  name: prod\nspec:\n{more}  nodes:\n{nodes}"
        );
        parse(&text, "cluster.yaml").unwrap().spec
    }

    fn seen(healths: &[(&str, Health)]) -> Observed {
        let mut observed = Observed::default();
        for (name, health) in healths {
            let mut node = ObservedNode::default();
            node.facts.api_server = Some(*health);
            observed.nodes.insert((*name).to_owned(), node);
        }
        observed
    }

    #[test]
    fn the_server_is_a_control_plane_that_answers_now_and_the_others_are_there_too() {
        // cp-1 cannot be reached at all.
        let observed = seen(&[("cp-2", Health::Down), ("cp-3", Health::Ready)]);
        let servers = Servers::of(&cluster(3, ""), &observed);
        assert_eq!(servers.first, "https://192.0.2.13:6443");
        let names: Vec<&String> = servers.others.keys().collect();
        assert_eq!(names, ["cp-1", "cp-2", "cp-3"]);
        assert_eq!(servers.others["cp-2"], "https://192.0.2.12:6443");
        assert_eq!(
            servers.used_and_spare,
            Some(("cp-3".to_owned(), "cp-1".to_owned()))
        );
    }

    #[test]
    fn of_those_that_answer_the_first_of_the_file_is_used_and_the_next_is_spare() {
        let observed = seen(&[
            ("cp-1", Health::Ready),
            ("cp-2", Health::Down),
            ("cp-3", Health::Ready),
        ]);
        let servers = Servers::of(&cluster(3, ""), &observed);
        assert_eq!(servers.first, "https://192.0.2.11:6443");
        assert_eq!(
            servers.used_and_spare,
            Some(("cp-1".to_owned(), "cp-3".to_owned()))
        );
    }

    #[test]
    fn a_link_stays_a_link_also_to_a_file_that_is_not_there_yet() {
        let directory = tempfile::tempdir().unwrap();
        let link = directory.path().join("config");
        std::os::unix::fs::symlink("real", &link).unwrap();
        let real = directory.path().canonicalize().unwrap().join("real");
        assert_eq!(followed(link.clone()), directory.path().join("real"));
        std::fs::write(&real, "").unwrap();
        assert_eq!(followed(link.clone()), real);
        let key = Secret::new(b"KEY".to_vec());
        let access = Access {
            cluster: "prod",
            cluster_id: None,
            server: "https://192.0.2.11:6443",
            others: &BTreeMap::new(),
            authority_pem: "CA",
            user: "admin",
            certificate_pem: "CERT",
            key_pem: &key,
        };
        merge(&followed(link.clone()), "", &access).unwrap();
        assert!(link.is_symlink());
        assert!(std::fs::read_to_string(real).unwrap().contains("admin@prod"));
    }

    #[test]
    fn an_endpoint_or_a_single_control_plane_is_the_only_server() {
        let endpoint = cluster(3, "  controlPlane: { endpoint: api.prod.example }\n");
        let servers = Servers::of(&endpoint, &seen(&[("cp-1", Health::Ready)]));
        assert_eq!(
            (servers.first.as_str(), servers.others.len()),
            ("https://api.prod.example:6443", 0)
        );
        let servers = Servers::of(&cluster(1, ""), &Observed::default());
        assert_eq!(
            (servers.first.as_str(), servers.others.len()),
            ("https://192.0.2.11:6443", 0)
        );
        assert!(servers.used_and_spare.is_none());
    }
}
