//! `kubewright kubeconfig`.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use kubewright_control::kube::kubeconfig::{self, Access};
use kubewright_control::observe::MayLack;
use kubewright_control::session::Purpose;
use kubewright_core::manifest::ADMIN_GROUP;
use kubewright_core::resource::AuthorityName;
use kubewright_core::spec::Cluster;

use super::session;
use crate::failure::{ErrorId, Failure, Kind};
use crate::settings::GlobalFlags;
use crate::ui::Ui;

/// Arguments of `kubeconfig`.
#[derive(clap::Args, Debug)]
pub(crate) struct Arguments {
    /// Merge it into ~/.kube/config (or the first file of KUBECONFIG) instead of printing it
    #[arg(long)]
    merge: bool,
    /// Issue it for a person of this name instead of the administrator
    #[arg(long, value_name = "NAME", requires = "group")]
    user: Option<String>,
    /// A group of that person (repeat for several)
    #[arg(long, value_name = "G", requires = "user")]
    group: Vec<String>,
    /// How long it is valid, as in 8h or 30d
    #[arg(long, default_value = "90d", value_parser = lifetime)]
    ttl: Duration,
}

/// Issues and prints or merges.
pub(crate) async fn run(arguments: &Arguments, flags: &GlobalFlags, ui: &Ui) -> Result<(), Failure> {
    let opened = session::open("kubeconfig", flags, ui)?.lacking(MayLack::AllButOneControlPlane);
    let cluster = &opened.file.cluster;
    let look = opened.first_look(Purpose::Read).await?;
    if !look.observed.is_settled() {
        return Err(Failure::named(
            ErrorId::NoClusterYet,
            format!("cluster {} is not there yet", cluster.name),
        )
        .hint("build it first: kubewright apply"));
    }
    let groups = if arguments.group.is_empty() {
        vec![ADMIN_GROUP.to_owned()]
    } else {
        arguments.group.clone()
    };
    let user = arguments.user.as_deref().unwrap_or("admin");
    let credentials = look
        .authorities
        .issue_client(user, &groups, arguments.ttl, SystemTime::now())
        .map_err(|error| session::failure(&error.into()))?;
    let certificates = look.authorities.certificates();
    let access = Access {
        cluster: cluster.name.as_str(),
        server: &server(cluster),
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
        return Ok(());
    }
    let path = target()?;
    merge(&path, &access)?;
    ui.say(&format!(
        "merged into {} as {}; try: kubectl get nodes",
        path.display(),
        access.context()
    ));
    Ok(())
}

/// Where people reach the API: the endpoint of the file, or the first control plane.
fn server(cluster: &Cluster) -> String {
    if let Some(endpoint) = &cluster.control_plane.endpoint {
        return format!("https://{endpoint}");
    }
    let address = cluster
        .control_planes()
        .next()
        .map(|node| SocketAddr::new(node.address, 6443));
    address.map_or_else(String::new, |address| format!("https://{address}"))
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

/// Writes beside the file and renames, so that nobody's kubeconfig is ever half there or readable by others.
fn merge(path: &Path, access: &Access<'_>) -> Result<(), Failure> {
    let failed = |error: &dyn std::fmt::Display| {
        Failure::named(ErrorId::LocalFailure, format!("merge into {}", path.display()))
            .because(error.to_string())
    };
    let present = match std::fs::read_to_string(path) {
        Ok(present) => present,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(failed(&error)),
    };
    let merged = kubeconfig::merge(&present, access).map_err(|error| failed(&error))?;
    let directory = path.parent().unwrap_or_else(|| Path::new("."));
    std::fs::create_dir_all(directory).map_err(|error| failed(&error))?;
    let mut file = tempfile::NamedTempFile::new_in(directory).map_err(|error| failed(&error))?;
    file.write_all(merged.expose())
        .and_then(|()| file.as_file().sync_all())
        .map_err(|error| failed(&error))?;
    file.persist(path).map_err(|error| failed(&error.error))?;
    Ok(())
}

/// Reads `8h`, `30d`, `45m`.
pub(super) fn lifetime(text: &str) -> Result<Duration, String> {
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
    match number.checked_mul(seconds) {
        Some(total @ 60..=31_536_000) => Ok(Duration::from_secs(total)),
        _ => Err("choose between 1m and 365d".to_owned()),
    }
}
