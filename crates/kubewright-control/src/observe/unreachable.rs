//! What an operation does about nodes that cannot be reached. The look only finds out which these are.

use std::collections::BTreeMap;

use kubewright_core::spec::{Cluster, Node};

use super::ObserveErrors;
use super::every_node::Answers;
use crate::error::Error;
use crate::node::NodeCallError;

/// What an operation does about nodes that cannot be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnreachablePolicy {
    /// It needs every node.
    EveryNode,
    /// It changes a cluster. One that was bootstrapped is changed as far as that goes without them (the plan says what
    /// waits). A bootstrap needs every control plane, and every worker unless they may be skipped. A node that answers
    /// wrongly is always an error.
    Change {
        /// The operator said that unreachable workers may be skipped.
        skip_workers: bool,
    },
    /// It only looks, or speaks with the API: one control plane is enough, whatever is wrong with the other nodes.
    OneControlPlane,
}

impl UnreachablePolicy {
    /// Whether the operation may go on although a node failed in this way.
    fn may_go_on(self, error: &NodeCallError) -> bool {
        match self {
            Self::EveryNode => false,
            Self::Change { .. } => error.is_unreachable(),
            Self::OneControlPlane => true,
        }
    }
}

/// The nodes that an operation may be able to do without, and why they did not answer.
#[derive(Debug, Default)]
pub(super) struct Missing(BTreeMap<String, NodeCallError>);

impl Missing {
    /// Returns the answers, and keeps who gave none.
    ///
    /// # Errors
    /// One error for every node whose failure ends the operation in any case, in order of name.
    pub(super) fn sort<T>(
        &mut self,
        policy: UnreachablePolicy,
        answers: Answers<T>,
    ) -> Result<BTreeMap<String, T>, ObserveErrors> {
        let Answers { answers, failures } = answers;
        let (missing, fatal): (BTreeMap<_, _>, BTreeMap<_, _>) = failures
            .into_iter()
            .partition(|(_, error)| policy.may_go_on(error));
        self.0.extend(missing);
        if fatal.is_empty() {
            return Ok(answers);
        }
        Err(ObserveErrors(fatal.into_values().map(Error::from).collect()))
    }

    /// Returns the nodes that are left out, and why.
    ///
    /// # Errors
    /// One error for every node that is needed, in order of name.
    pub(super) fn judge(
        self,
        policy: UnreachablePolicy,
        cluster: &Cluster,
        is_bootstrapped: bool,
        is_seen: impl Fn(&str) -> bool,
    ) -> Result<BTreeMap<String, String>, ObserveErrors> {
        let is_control_plane = |name: &str| cluster.node(name).is_some_and(Node::is_control_plane);
        let has_control_plane = cluster.control_planes().any(|node| is_seen(node.name.as_str()));
        let is_needed = |name: &str| match policy {
            UnreachablePolicy::EveryNode => true,
            UnreachablePolicy::OneControlPlane => !has_control_plane,
            UnreachablePolicy::Change { skip_workers } => {
                let is_needed_now = !has_control_plane || !is_bootstrapped;
                is_needed_now && (is_control_plane(name) || !skip_workers)
            }
        };
        let (needed, left_out): (Vec<_>, Vec<_>) = self.0.into_iter().partition(|(name, _)| is_needed(name));
        if !needed.is_empty() {
            let are_workers = needed.iter().all(|(name, _)| !is_control_plane(name));
            let mut errors: Vec<Error> = needed.into_iter().map(|(_, error)| error.into()).collect();
            if are_workers && matches!(policy, UnreachablePolicy::Change { .. }) {
                advise(&mut errors);
            }
            return Err(ObserveErrors(errors));
        }
        let why = |(name, error): (String, NodeCallError)| {
            let error = Error::from(error);
            tracing::warn!(node = %name, %error, "left out");
            (name, [vec![error.doing], error.causes].concat().join(": "))
        };
        Ok(left_out.into_iter().map(why).collect())
    }
}

/// Says at the last error what could be done without the workers.
fn advise(errors: &mut [Error]) {
    if let Some(last) = errors.last_mut() {
        let hint = last
            .hint
            .take()
            .map_or_else(String::new, |hint| format!("{hint}; "));
        last.hint = Some(format!(
            "{hint}to continue without unreachable workers, add --skip-unreachable-workers"
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::{Failure, TransportError};

    fn cluster() -> Cluster {
        let nodes: String = [("cp-1", 1), ("cp-2", 2), ("cp-3", 3)]
            .map(|(name, number)| {
                format!("    - {{ name: {name}, address: 192.0.2.{number}, roles: [control-plane] }}\n")
            })
            .concat();
        let text = format!(
            "apiVersion: kubewright/v1alpha1\nkind: Cluster\nmetadata:\n  name: test\nspec:\n  nodes:\n{nodes}    \
             - {{ name: w-1, address: 192.0.2.21, roles: [worker] }}\n"
        );
        kubewright_core::spec::parse(&text, "cluster.yaml").unwrap().spec
    }

    fn fails(node: &str, failure: Failure) -> (String, NodeCallError) {
        let error = TransportError {
            node: node.parse().unwrap(),
            destination: "root@192.0.2.1".to_owned(),
            failure,
            stderr: Box::default(),
        };
        (node.to_owned(), NodeCallError::Transport(Box::new(error)))
    }

    const BOOTSTRAP: UnreachablePolicy = UnreachablePolicy::Change { skip_workers: false };
    const SKIPPING: UnreachablePolicy = UnreachablePolicy::Change { skip_workers: true };

    /// Who is left out, or who is complained about.
    fn judge(
        policy: UnreachablePolicy,
        is_bootstrapped: bool,
        answer: &[&str],
        failures: impl IntoIterator<Item = (String, NodeCallError)>,
    ) -> Result<Vec<String>, Vec<Error>> {
        let answers = Answers {
            answers: answer.iter().map(|name| ((*name).to_owned(), ())).collect(),
            failures: failures.into_iter().collect(),
        };
        let mut missing = Missing::default();
        let judged = missing.sort(policy, answers).and_then(|answers| {
            missing.judge(policy, &cluster(), is_bootstrapped, |name| {
                answers.contains_key(name)
            })
        });
        match judged {
            Ok(left_out) => Ok(left_out.into_keys().collect()),
            Err(ObserveErrors(errors)) => Err(errors),
        }
    }

    fn down<const N: usize>(names: [&str; N]) -> [(String, NodeCallError); N] {
        names.map(|name| fails(name, Failure::Refused))
    }

    fn names(errors: &[Error]) -> Vec<&str> {
        errors.iter().filter_map(|error| error.node.as_deref()).collect()
    }

    #[test]
    fn a_bootstrap_needs_everybody_but_workers_that_may_be_skipped() {
        let control_planes = ["cp-1", "cp-2", "cp-3"];
        let errors = judge(BOOTSTRAP, false, &control_planes, down(["w-1"])).unwrap_err();
        assert_eq!(names(&errors), ["w-1"]);
        let hint = errors[0].hint.as_deref().unwrap();
        assert!(hint.contains("--skip-unreachable-workers"), "{hint}");
        assert_eq!(
            judge(SKIPPING, false, &control_planes, down(["w-1"])).unwrap(),
            ["w-1"]
        );
        let errors = judge(SKIPPING, false, &["cp-1"], down(["w-1", "cp-3", "cp-2"])).unwrap_err();
        assert_eq!(names(&errors), ["cp-2", "cp-3"]);
        assert!(errors.iter().all(|error| error.kind() == crate::error::Kind::Ssh));
    }

    #[test]
    fn a_cluster_that_exists_is_changed_without_those_that_are_away() {
        let left_out = judge(BOOTSTRAP, true, &["cp-1", "cp-2"], down(["cp-3", "w-1"])).unwrap();
        assert_eq!(left_out, ["cp-3", "w-1"]);
        let errors = judge(BOOTSTRAP, true, &["w-1"], down(["cp-1", "cp-2", "cp-3"])).unwrap_err();
        assert_eq!(names(&errors), ["cp-1", "cp-2", "cp-3"]);
    }

    #[test]
    fn a_node_that_is_somebody_else_is_never_left_out_of_a_change() {
        for node in ["cp-3", "w-1"] {
            let stranger = Failure::HostKeyChanged {
                host: None,
                fingerprint: None,
                known: None,
                pinned: false,
            };
            let errors = judge(SKIPPING, true, &["cp-1", "cp-2"], [fails(node, stranger)]).unwrap_err();
            assert_eq!(names(&errors), [node]);
        }
    }

    #[test]
    fn a_reset_needs_everybody() {
        let errors = judge(UnreachablePolicy::EveryNode, true, &["cp-1"], down(["w-1"])).unwrap_err();
        assert_eq!(names(&errors), ["w-1"]);
        assert!(!errors[0].hint.as_deref().unwrap_or_default().contains("--skip"));
    }

    #[test]
    fn looking_needs_one_control_plane_and_no_more() {
        let look = UnreachablePolicy::OneControlPlane;
        assert_eq!(
            judge(look, true, &["cp-1"], down(["cp-2", "cp-3", "w-1"]))
                .unwrap()
                .len(),
            3
        );
        let errors = judge(look, true, &["w-1"], down(["cp-1", "cp-2", "cp-3"])).unwrap_err();
        assert_eq!(names(&errors), ["cp-1", "cp-2", "cp-3"]);
    }
}
