//! Why a plan is not made: the safety rules, each with a name that the operator can look up.

use std::fmt;

use super::rules::quorum::MemberHealth;
use crate::carrier::{log_command, stop_command};
use crate::catalogue::SkewError;
use crate::component::{apiserver, etcd};
use crate::errors::ErrorId;
use crate::observed::{AlarmKind, EtcdCluster, Founders, Health, Marker};
use crate::shown::{sentence, shown};
use crate::spec::{Cidr, NODE_POD_PREFIX, Version};

/// What to do about two members.
const TWO_MEMBERS: &str = "etcd with two members tolerates no failure; use one or three control planes";

/// A safety rule said no. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The node says it belongs to another cluster.
    #[error("node {node} belongs to cluster \"{}\" (id {})", shown(cluster), shown(id))]
    OtherCluster {
        /// The node.
        node: String,
        /// What its marker says.
        cluster: String,
        /// The id its marker says.
        id: String,
    },
    /// Two nodes belong to two clusters, whatever those are called.
    #[error(
        "{first} and {second} belong to different clusters (ids {} and {})",
        shown(first_id),
        shown(second_id)
    )]
    DifferentClusters {
        /// One node.
        first: String,
        /// The id its marker says.
        first_id: String,
        /// The other.
        second: String,
        /// The id its marker says.
        second_id: String,
    },
    /// The node says it is another node of this cluster.
    #[error("node {node} was set up as \"{}\"", shown(other))]
    OtherNode {
        /// The node's name in cluster.yaml.
        node: String,
        /// The name it was set up with.
        other: String,
    },
    /// Two nodes are the same machine, or were cloned from one image.
    #[error("nodes {first} and {second} have the same machine id {}", shown(machine_id))]
    SameMachine {
        /// One node.
        first: String,
        /// The other.
        second: String,
        /// What both say.
        machine_id: String,
    },
    /// A bootstrapped cluster has a control plane without etcd data: a join or a replacement, not an apply.
    #[error("control plane {node} has no etcd data, but the cluster exists")]
    MemberWithoutData {
        /// The node.
        node: String,
    },
    /// etcd is being founded by other control planes than cluster.yaml has.
    #[error("etcd was founded by {recorded}, as {node} keeps it; cluster.yaml has {wanted}")]
    OtherFounders {
        /// A node that keeps them.
        node: String,
        /// The founders it keeps.
        recorded: Founders,
        /// The control planes of cluster.yaml.
        wanted: Founders,
    },
    /// etcd's bootstrap is not finished, and its members are not the control planes of cluster.yaml.
    #[error("etcd has the members {members}, and its bootstrap is not finished; cluster.yaml has {wanted}")]
    OtherMembers {
        /// The members.
        members: Founders,
        /// The control planes of cluster.yaml.
        wanted: Founders,
    },
    /// Members that found a cluster have to find each other.
    #[error("control plane {node} cannot be reached, and etcd's bootstrap is not finished")]
    FounderUnreachable {
        /// The control plane.
        node: String,
    },
    /// So many control planes are away that those left are no quorum, and no API server answers.
    #[error(
        "{} of {of} control planes cannot be reached ({}), and no API server answers: the others have no quorum",
        unreachable.len(),
        unreachable.join(", ")
    )]
    NoQuorumReachable {
        /// Which are away.
        unreachable: Vec<String>,
        /// How many there are.
        of: usize,
    },
    /// Another minor version while a control plane is away.
    #[error(
        "Kubernetes cannot become {version} while control plane {node} cannot be reached: its API server would stay behind"
    )]
    VersionWithout {
        /// The control plane.
        node: String,
        /// The version cluster.yaml asks for.
        version: Version,
    },
    /// A control plane is at another address than its member.
    #[error(
        "the etcd member of {node} is at {}, and cluster.yaml has {node} at {wants}",
        shown(is)
    )]
    MemberAddress {
        /// The control plane.
        node: String,
        /// Its peer address, as etcd knows it.
        is: String,
        /// Its peer address by cluster.yaml.
        wants: String,
    },
    /// A founder that is still a member is no control plane of cluster.yaml.
    #[error(
        "etcd has the member \"{}\" on a control plane that cluster.yaml no longer names",
        shown(member)
    )]
    MemberForgotten {
        /// The member.
        member: String,
    },
    /// The control planes' members are of more than one etcd cluster.
    #[error("etcd is {} clusters: {}", clusters.len(), each(clusters))]
    TwoClusters {
        /// What each is and holds.
        clusters: Vec<EtcdCluster>,
    },
    /// Something is in the way that kubewright does not remove by itself.
    #[error("{} on node {node}: {}", sentence(resource), sentence(reason))]
    Blocked {
        /// The node.
        node: String,
        /// The resource.
        resource: String,
        /// What is in the way.
        reason: String,
    },
    /// cluster.yaml changes an immutable setting of an existing cluster.
    #[error(
        "{setting} is immutable: existing value {} (recorded on {node}), cluster.yaml has {}; {reason}",
        shown(was),
        shown(wants)
    )]
    FixedSetting {
        /// A node that remembers it.
        node: String,
        /// Its path in cluster.yaml.
        setting: &'static str,
        /// What it is.
        was: String,
        /// What cluster.yaml says.
        wants: String,
        /// Why it cannot change.
        reason: &'static str,
    },
    /// Versions would be skipped, or go back.
    #[error("{cause} (node {node} has it)")]
    VersionStep {
        /// A node that has the present version.
        node: String,
        /// Which step is not allowed.
        cause: SkewError,
    },
    /// The cluster has a node that cluster.yaml no longer names.
    #[error("node {} is in the cluster and not in cluster.yaml", shown(node))]
    NodeForgotten {
        /// The node.
        node: String,
    },
    /// A node holds a member and is to be no control plane any more.
    #[error("node {node} still has an etcd member, but is not a control plane in cluster.yaml")]
    MemberLeftOver {
        /// The node.
        node: String,
    },
    /// A control plane would be disturbed while another one is unhealthy.
    #[error("control plane {node} cannot be changed{}", told(node, obstacles))]
    Quorum {
        /// Whose turn it would be.
        node: String,
        /// What is in the way.
        obstacles: Vec<Obstacle>,
    },
    /// What a saved plan was made from is no longer so.
    #[error("the plan of {made_at} is out of date")]
    StalePlan {
        /// When the plan was made.
        made_at: String,
        /// What changed since.
        changes: Vec<String>,
    },
    /// A step that was left out has to come before one that was chosen.
    #[error("{chosen} depends on {needed}, which is not selected")]
    LeftOut {
        /// The chosen step.
        chosen: String,
        /// The step it needs.
        needed: String,
        /// The node that step is on.
        node: String,
    },
    /// There are more nodes than pod ranges.
    #[error("podCidr {pod_cidr} has no free subnet for node {node}")]
    NoPodRange {
        /// The node.
        node: String,
        /// The cluster's pod range.
        pod_cidr: String,
    },
    /// A node says it has a pod range that it cannot have.
    #[error("node {node} claims the pod range {}: {problem}", shown(claimed))]
    PodRangeClaim {
        /// The node.
        node: String,
        /// What its marker says.
        claimed: String,
        /// Why it cannot have it.
        problem: ClaimProblem,
    },
}

/// Why a node's word about its pod range does not count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClaimProblem {
    /// It is not one of the ranges nodes get.
    NoPartOfPodCidr(Cidr),
    /// Another node has it.
    Taken {
        /// Which.
        by: String,
    },
}

impl fmt::Display for ClaimProblem {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoPartOfPodCidr(pod_cidr) => write!(out, "it is not a /{NODE_POD_PREFIX} of {pod_cidr}"),
            Self::Taken { by } => write!(out, "node {by} has it"),
        }
    }
}

/// What each of several etcd clusters is and holds, in one sentence.
fn each(clusters: &[EtcdCluster]) -> String {
    let each: Vec<String> = clusters.iter().map(ToString::to_string).collect();
    each.join("; ")
}

/// Why a control plane cannot be disturbed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// A control plane is unhealthy.
    ControlPlane {
        /// Which.
        node: String,
        /// How its etcd member is.
        etcd: MemberHealth,
        /// How its API server is; `None` when nobody could ask it.
        api_server: Option<Health>,
    },
    /// etcd has a member on no control plane of cluster.yaml, which counts and cannot be asked.
    UnknownMember {
        /// Its name; empty when it has not started.
        member: String,
        /// Its id.
        id: u64,
        /// Where other members reach it.
        peer_urls: Vec<String>,
    },
    /// An alarm is raised in etcd.
    Alarm {
        /// Which.
        alarm: AlarmKind,
        /// The member it is about.
        member: String,
    },
    /// etcd has two members: without one of them the other is no quorum.
    TwoMembers,
    /// etcd serves, and no member told which members there are.
    Untold {
        /// Who did not answer, and why.
        silent: Vec<(String, String)>,
    },
}

impl fmt::Display for Obstacle {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ControlPlane {
                node,
                etcd,
                api_server,
            } => {
                write!(out, "{node} is unhealthy: {}", complaint(*etcd, *api_server))
            }
            Self::UnknownMember {
                member,
                id,
                peer_urls,
            } => {
                let urls = shown(&peer_urls.join(", "));
                match member.as_str() {
                    "" => write!(out, "unknown etcd member {id:x}, never started ({urls})")?,
                    name => write!(out, "unknown etcd member \"{}\" ({urls})", shown(name))?,
                }
                out.write_str(": it matches no control plane in cluster.yaml")
            }
            Self::Alarm { alarm, member } => {
                write!(out, "etcd's alarm {alarm} of {} is raised", shown(member))
            }
            Self::TwoMembers => out.write_str("etcd has only two members"),
            Self::Untold { silent } => {
                out.write_str("the etcd member list cannot be read")?;
                for (number, (node, cause)) in silent.iter().enumerate() {
                    let before = if number == 0 { ": " } else { "; " };
                    write!(out, "{before}{node}: {}", shown(cause))?;
                }
                Ok(())
            }
        }
    }
}

impl Obstacle {
    /// What the operator can do about it.
    fn hint(&self) -> String {
        match self {
            Self::ControlPlane {
                node,
                etcd: MemberHealth::Learner,
                ..
            } => format!(
                "when the member of {node} has caught up, on a control plane: etcdctl member list, then etcdctl member \
                 promote ID; kubewright drift shows when it votes. {}",
                with_etcdctl()
            ),
            Self::ControlPlane {
                node,
                etcd: MemberHealth::Absent,
                ..
            } => format!(
                "the member of {node} was removed or belongs to another etcd. To let it join again, on {node}: {}; mv {} {}.old; \
                 then kubewright apply",
                stop_command(etcd::NAME),
                etcd::MEMBER_DIRECTORY,
                etcd::MEMBER_DIRECTORY
            ),
            Self::ControlPlane { node, .. } => format!(
                "repair {node} first: {} on it tells why it does not serve, kubewright status when it does",
                log_command(&[etcd::NAME, apiserver::NAME])
            ),
            Self::UnknownMember { id, .. } => format!(
                "find out what it is; if it is gone for good, on a control plane: etcdctl member remove {id:x}; kubewright \
                 drift shows the members. {}",
                with_etcdctl()
            ),
            Self::Alarm {
                alarm: AlarmKind::NoSpace,
                ..
            } => format!(
                "on a control plane: etcdctl endpoint status -w json tells the revision, then etcdctl compact REVISION, \
                 etcdctl defrag --cluster, etcdctl alarm disarm; kubewright status shows when etcd serves again. {}",
                with_etcdctl()
            ),
            Self::Alarm {
                alarm: AlarmKind::Other(_),
                ..
            } => format!(
                "etcdctl alarm list on a control plane shows it; this version knows no remedy for it. {}",
                with_etcdctl()
            ),
            Self::Alarm {
                alarm: AlarmKind::Corrupt,
                member,
            } => format!(
                "the data of {} differs from the others' or is damaged: stop its etcd, keep its /var/lib/etcd aside and \
                 look at {}; etcdctl alarm list shows it. {}",
                shown(member),
                log_command(&[etcd::NAME]),
                with_etcdctl()
            ),
            Self::TwoMembers => TWO_MEMBERS.to_owned(),
            Self::Untold { .. } => format!(
                "run the same command again; {} on the control planes shows why they do not answer",
                log_command(&[etcd::NAME])
            ),
        }
    }
}

/// Without these options no member answers etcdctl.
fn with_etcdctl() -> String {
    format!("Run etcdctl there as root with {}", etcd::ETCDCTL_OPTIONS)
}

/// What is the matter with a control plane.
fn complaint(etcd: MemberHealth, api_server: Option<Health>) -> String {
    let member = match etcd {
        MemberHealth::Healthy => None,
        MemberHealth::Starting => Some("its etcd member is starting"),
        MemberHealth::Down => Some("its etcd member is down or sees no leader"),
        MemberHealth::Unstarted => Some("its etcd member was never started"),
        MemberHealth::Learner => Some("its etcd member is a learner and does not vote"),
        MemberHealth::Absent => Some("its etcd member is not in the member list"),
        MemberHealth::Unknown => Some("the status of its etcd member is unknown"),
    };
    let server = match api_server {
        Some(Health::Ready) => None,
        Some(Health::Starting) => Some("its API server is starting"),
        Some(Health::Down) => Some("its API server is not ready"),
        None => Some("the status of its API server is unknown"),
    };
    let each: Vec<&str> = [member, server].into_iter().flatten().collect();
    each.join(", ")
}

/// What is in the way of changing a control plane, in one sentence.
fn told(node: &str, obstacles: &[Obstacle]) -> String {
    match obstacles {
        [] => ": etcd has only two members".to_owned(),
        [
            Obstacle::ControlPlane {
                node: own,
                etcd,
                api_server,
            },
        ] if own == node => format!(": {}", complaint(*etcd, *api_server)),
        _ => {
            let each: Vec<String> = obstacles.iter().map(ToString::to_string).collect();
            format!(": {}", each.join("; "))
        }
    }
}

impl Refusal {
    /// The rule; also the id of the error it becomes.
    pub const fn id(&self) -> ErrorId {
        match self {
            Self::OtherCluster { .. }
            | Self::DifferentClusters { .. }
            | Self::OtherNode { .. }
            | Self::SameMachine { .. } => ErrorId::NodeIdentity,
            Self::MemberWithoutData { .. } => ErrorId::RemoveBeforeAdd,
            Self::OtherFounders { .. } | Self::OtherMembers { .. } | Self::FounderUnreachable { .. } => {
                ErrorId::Founders
            }
            Self::MemberAddress { .. } => ErrorId::MemberAddress,
            Self::TwoClusters { .. } => ErrorId::TwoEtcdClusters,
            Self::Blocked { .. } => ErrorId::NothingLost,
            Self::FixedSetting { .. } => ErrorId::FixedSetting,
            Self::VersionStep { .. } | Self::VersionWithout { .. } => ErrorId::VersionStep,
            Self::NodeForgotten { .. } | Self::MemberLeftOver { .. } | Self::MemberForgotten { .. } => {
                ErrorId::NodeRemoval
            }
            Self::Quorum { .. } | Self::NoQuorumReachable { .. } => ErrorId::Quorum,
            Self::StalePlan { .. } => ErrorId::StalePlan,
            Self::LeftOut { .. } => ErrorId::LeftOutStep,
            Self::NoPodRange { .. } => ErrorId::PodRanges,
            Self::PodRangeClaim { .. } => ErrorId::PodRangeClaim,
        }
    }

    /// The rule's stable name.
    pub const fn rule(&self) -> &'static str {
        self.id().as_str()
    }

    /// What exactly is in the way, one line each, where there is more to say than the message.
    pub fn details(&self) -> &[String] {
        match self {
            Self::StalePlan { changes, .. } => changes,
            _ => &[],
        }
    }

    /// What the operator can do.
    pub fn hint(&self) -> String {
        match self {
            Self::OtherCluster { node, .. } => format!(
                "check the address of {node} in cluster.yaml; to take the machine over, reset it first with the \
                 cluster.yaml of the cluster it belongs to (kubewright reset)"
            ),
            Self::DifferentClusters { first, second, .. } => format!(
                "check the addresses of {first} and {second} in cluster.yaml: one of them is a machine of another cluster"
            ),
            Self::OtherNode { node, other } => {
                format!(
                    "give the node its old name ({}) in cluster.yaml, or check the address of {node}",
                    shown(other)
                )
            }
            Self::SameMachine { second, .. } => format!(
                "check the addresses; if {second} was cloned: rm /etc/machine-id && systemd-machine-id-setup, then reboot it"
            ),
            Self::MemberWithoutData { node } => format!(
                "if the old disk is readable, put its /var/lib/etcd back on {node} (never an older copy); otherwise, when the \
                 other control planes are healthy, take its old member away and let it join again: on one of them etcdctl \
                 member list, etcdctl member remove ID, then kubewright apply. {}",
                with_etcdctl()
            ),
            Self::OtherFounders {
                recorded: founders, ..
            }
            | Self::OtherMembers {
                members: founders, ..
            } => format!(
                "put the control planes back into cluster.yaml as they were ({founders}) and run the same command again; \
                 or, with that file, take all of it down (kubewright reset) and begin with the new one"
            ),
            Self::FounderUnreachable { node } => {
                format!(
                    "bring back {node} and run the same command again; kubewright check shows why it does not answer"
                )
            }
            Self::NoQuorumReachable { unreachable, .. } => format!(
                "bring back one of {} first; kubewright check shows why they do not answer",
                unreachable.join(", ")
            ),
            Self::VersionWithout { node, .. } => format!(
                "bring back {node} first, or put the version that runs back into cluster.yaml to change something else"
            ),
            Self::MemberAddress { node, .. } => format!(
                "put the old address of {node} back into cluster.yaml; moving a member to another address cannot be done yet"
            ),
            Self::MemberForgotten { member } => format!(
                "put {} back into cluster.yaml; removing a member cannot be done yet",
                shown(member)
            ),
            Self::TwoClusters { .. } => format!(
                "find out which one to keep: on a control plane of each, etcdctl get / --prefix --keys-only shows what it \
                 holds, etcdctl snapshot save FILE keeps it. Then reset the machines of the other one with a cluster.yaml \
                 that names only them (kubewright reset), and go on with a cluster.yaml whose control planes are exactly \
                 those of the one you keep. {}",
                with_etcdctl()
            ),
            Self::Blocked { .. } => "move it away on the node, then run the same command again".to_owned(),
            Self::FixedSetting { setting, was, .. } => format!(
                "restore {setting}: {}; another value needs a new cluster, with its own cluster.yaml",
                shown(was)
            ),
            Self::VersionStep { cause, .. } => match cause {
                SkewError::Downgrade { from, .. } => format!("set spec.kubernetes: {from} again"),
                SkewError::SkipsMinor { next, .. } => format!(
                    "set spec.kubernetes to a version of {next} and apply, then go on from there; kubewright version lists \
                     the versions"
                ),
                SkewError::KubeletNewer { .. } | SkewError::KubeletTooOld { .. } => {
                    "kubewright version lists the versions; change one minor version at a time".to_owned()
                }
            },
            Self::NodeForgotten { node } => {
                let node = shown(node);
                format!(
                    "put {node} back into cluster.yaml; to remove a worker: kubectl drain {node}, kubectl delete node {node}, \
                     and wipe its machine. A control plane cannot be removed yet: its etcd member would still count"
                )
            }
            Self::MemberLeftOver { node } => {
                format!("give {node} the role control-plane again; this version cannot remove a member")
            }
            Self::Quorum { obstacles, .. } => obstacles
                .first()
                .map_or_else(|| TWO_MEMBERS.to_owned(), Obstacle::hint),
            Self::LeftOut { node, .. } => format!("add {node} to --only, or run without --only"),
            Self::StalePlan { .. } => {
                "create and read a new plan: kubewright plan --out FILE; then kubewright apply --plan FILE"
                    .to_owned()
            }
            Self::NoPodRange { .. } => {
                "use fewer nodes; podCidr cannot be changed on an existing cluster".to_owned()
            }
            Self::PodRangeClaim { node, .. } => format!(
                "run the command again when an API server answers: the API's word counts then. If {node} was not restored \
                 from a copy of another node, somebody changed {} on it",
                Marker::PATH
            ),
        }
    }
}
