//! What a command does about nodes that cannot be reached: it names them, and goes on only where that was allowed.

use std::collections::BTreeMap;

use kubewright_core::spec::Cluster;

use super::ObserveErrors;
use super::every_node::Answers;
use crate::error::Error;
use crate::node::NodeCallError;
use crate::session::UnreachablePolicy;

impl UnreachablePolicy {
    /// The answers, with the nodes that are skipped added to `absent`.
    ///
    /// # Errors
    /// One error for every node that may not be lacked, in order of name.
    pub(super) fn accept<T>(
        self,
        cluster: &Cluster,
        answers: Answers<T>,
        absent: &mut BTreeMap<String, String>,
    ) -> Result<BTreeMap<String, T>, ObserveErrors> {
        let Answers { answers, failures } = answers;
        let is_control_plane = |name: &str| {
            cluster
                .node(name)
                .is_some_and(kubewright_core::spec::Node::is_control_plane)
        };
        let unreachable_policy = |name: &str, error: &NodeCallError| match self {
            Self::Nobody => false,
            Self::UnreachableWorkers => !is_control_plane(name) && error.is_unreachable(),
            Self::AllButOneControlPlane => answers.keys().any(|name| is_control_plane(name)),
        };
        let (lacked, missed): (Vec<_>, Vec<_>) = failures
            .into_iter()
            .partition(|(name, error)| unreachable_policy(name, error));
        if !missed.is_empty() {
            let mut errors: Vec<Error> = missed.into_iter().map(|(_, error)| error.into()).collect();
            self.advise(cluster, &mut errors, answers.len());
            return Err(ObserveErrors(errors));
        }
        for (name, error) in lacked {
            let error = Error::from(error);
            tracing::warn!(node = %name, %error, "left out");
            let why = [vec![error.doing], error.causes].concat().join(": ");
            absent.insert(name, why);
        }
        Ok(answers)
    }

    /// Says at the last error what could be done without the nodes.
    fn advise(self, cluster: &Cluster, errors: &mut [Error], answered: usize) {
        let all_workers = errors.iter().all(|error| {
            let node = error.node.as_deref().and_then(|name| cluster.node(name));
            node.is_some_and(|node| !node.is_control_plane())
        });
        if self != Self::Nobody || !all_workers || answered == 0 {
            return;
        }
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

    /// Who answers, who is left out, or who is complained about.
    fn accept(
        unreachable_policy: UnreachablePolicy,
        answer: &[&str],
        failures: impl IntoIterator<Item = (String, NodeCallError)>,
    ) -> Result<(Vec<String>, Vec<String>), Vec<Error>> {
        let answers = Answers {
            answers: answer.iter().map(|name| ((*name).to_owned(), ())).collect(),
            failures: failures.into_iter().collect(),
        };
        let mut absent = BTreeMap::new();
        match unreachable_policy.accept(&cluster(), answers, &mut absent) {
            Ok(answers) => Ok((answers.into_keys().collect(), absent.into_keys().collect())),
            Err(ObserveErrors(errors)) => Err(errors),
        }
    }

    fn names(errors: &[Error]) -> Vec<&str> {
        errors.iter().filter_map(|error| error.node.as_deref()).collect()
    }

    #[test]
    fn everybody_is_needed_unless_something_else_was_said() {
        let errors = accept(
            UnreachablePolicy::Nobody,
            &["cp-1", "cp-2", "cp-3"],
            [fails("w-1", Failure::Refused)],
        )
        .unwrap_err();
        assert_eq!(names(&errors), ["w-1"]);
        let hint = errors[0].hint.as_deref().unwrap();
        assert!(hint.contains("--skip-unreachable-workers"), "{hint}");
    }

    #[test]
    fn a_worker_that_does_not_answer_is_left_out_when_that_was_said() {
        let accepted = accept(
            UnreachablePolicy::UnreachableWorkers,
            &["cp-1", "cp-2", "cp-3"],
            [fails("w-1", Failure::Refused)],
        )
        .unwrap();
        assert_eq!(accepted.1, ["w-1"]);
    }

    #[test]
    fn a_worker_that_is_somebody_else_is_never_left_out() {
        let stranger = Failure::HostKeyChanged {
            host: None,
            fingerprint: None,
            known: None,
            pinned: false,
        };
        let errors = accept(
            UnreachablePolicy::UnreachableWorkers,
            &["cp-1", "cp-2", "cp-3"],
            [fails("w-1", stranger)],
        )
        .unwrap_err();
        assert_eq!(names(&errors), ["w-1"]);
    }

    #[test]
    fn control_planes_are_never_left_out_of_a_change_and_all_of_them_are_named() {
        let errors = accept(
            UnreachablePolicy::UnreachableWorkers,
            &["cp-1"],
            ["w-1", "cp-3", "cp-2"].map(|name| fails(name, Failure::Refused)),
        )
        .unwrap_err();
        assert_eq!(names(&errors), ["cp-2", "cp-3"]);
        assert!(errors.iter().all(|error| error.kind() == crate::error::Kind::Ssh));
    }

    #[test]
    fn looking_needs_one_control_plane_and_no_more() {
        let down = || ["cp-2", "cp-3", "w-1"].map(|name| fails(name, Failure::Refused));
        let (answered, absent) = accept(UnreachablePolicy::AllButOneControlPlane, &["cp-1"], down()).unwrap();
        assert_eq!((answered.len(), absent.len()), (1, 3));
        let all_control_planes = ["cp-1", "cp-2", "cp-3"].map(|name| fails(name, Failure::Refused));
        let errors = accept(
            UnreachablePolicy::AllButOneControlPlane,
            &["w-1"],
            all_control_planes,
        )
        .unwrap_err();
        assert_eq!(names(&errors), ["cp-1", "cp-2", "cp-3"]);
    }
}
