//! The one question before an apply: yes, no, explain, or only some of the nodes.
//!
//! Whatever part of the plan is chosen is shown before it is asked about again, so that the answer yes is always about
//! what was last on the screen.

use kubewright_core::plan::Plan;
use kubewright_core::spec::Cluster;

use crate::cli::plan;
use crate::failure::{ErrorId, Failure};
use crate::ui::Ui;

/// What can be answered.
const ANSWERS: &str = "[yes / no / explain / only NODE,…]";

/// What the answers do.
const HELP: &str = "\
yes            apply the plan above
no             cancel; nothing changes
explain        show the reason, impact and dependencies of each step
only cp-1,w-2  limit the plan to these nodes (`only` alone: show the whole plan again)";

/// The answer to a question was not yes.
pub(crate) fn declined() -> Failure {
    Failure::named(ErrorId::NotConfirmed, "nothing was changed").hint("the answer was not yes")
}

/// An answer.
#[derive(Debug, PartialEq, Eq)]
enum Answer {
    Yes,
    No,
    Explain,
    /// These nodes; all when none is named.
    Only(Vec<String>),
    Unclear,
}

impl Answer {
    fn of(line: &str) -> Self {
        let mut words = line
            .split(|letter: char| letter.is_whitespace() || letter == ',')
            .filter(|word| !word.is_empty());
        match words.next() {
            Some("yes" | "y") if words.next().is_none() => Self::Yes,
            None | Some("no" | "n") => Self::No,
            Some("explain") => Self::Explain,
            Some("only") => Self::Only(words.map(str::to_owned).collect()),
            Some(_) => Self::Unclear,
        }
    }
}

/// Somebody who can be shown things and asked.
pub(crate) trait Person {
    /// Shows something.
    fn show(&self, text: &str);
    /// Asks; no answer at all is an empty one.
    fn ask(&self, question: &str) -> Result<String, Failure>;
}

impl Person for Ui {
    fn show(&self, text: &str) {
        self.error_line(text);
    }

    fn ask(&self, question: &str) -> Result<String, Failure> {
        self.answer(question)
    }
}

/// How a plan is put before somebody.
pub(crate) struct Question<'a> {
    /// The cluster it is about.
    pub(crate) cluster: &'a Cluster,
    /// Shows a plan.
    pub(crate) show: &'a dyn Fn(&Plan) -> String,
    /// Explains a plan.
    pub(crate) explain: &'a dyn Fn(&Plan) -> String,
}

impl Question<'_> {
    /// Shows `first` (of the whole plan `all`) and asks until the answer is yes or no; gives what is to be applied.
    pub(crate) fn ask(&self, all: &Plan, first: Plan, person: &dyn Person) -> Result<Plan, Failure> {
        let mut chosen = first;
        person.show(&(self.show)(&chosen));
        loop {
            let question = format!("Apply this to cluster {}? {ANSWERS}", self.cluster.name);
            match Answer::of(&person.ask(&question)?) {
                Answer::Yes => return Ok(chosen),
                Answer::No => return Err(declined()),
                Answer::Explain => person.show(&(self.explain)(&chosen)),
                Answer::Only(names) => match plan::only(all.clone(), &names, self.cluster) {
                    Ok(part) if part.steps.is_empty() => {
                        person.show(&format!("no changes on {}", names.join(", ")));
                    }
                    Ok(part) => {
                        chosen = part;
                        person.show(&(self.show)(&chosen));
                    }
                    Err(failure) => person.show(&failure.render()),
                },
                Answer::Unclear => person.show(HELP),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::fmt::Write as _;

    use kubewright_core::offline;
    use kubewright_core::plan::{plan_apply, text};
    use kubewright_core::spec::parse;

    use super::*;

    struct Script {
        answers: RefCell<Vec<&'static str>>,
        heard: RefCell<String>,
    }

    impl Person for Script {
        fn show(&self, text: &str) {
            let _ = writeln!(self.heard.borrow_mut(), "{}", text.trim_end());
        }

        fn ask(&self, question: &str) -> Result<String, Failure> {
            let answer = self.answers.borrow_mut().remove(0);
            let _ = writeln!(self.heard.borrow_mut(), "{question} {answer}");
            Ok(answer.to_owned())
        }
    }

    const FILE: &str = "apiVersion: kubewright/v1alpha1
kind: Cluster
metadata: { name: small }
spec:
  nodes:
    - { name: cp-1, address: 192.0.2.11, roles: [control-plane] }
    - { name: w-1, address: 192.0.2.21, roles: [worker] }
";

    /// Answers the question about a bootstrap; gives the ids of what is to be applied and what was heard.
    fn answer(answers: &[&'static str]) -> (Result<Vec<String>, Failure>, String) {
        let cluster = parse(FILE, "cluster.yaml").unwrap().spec;
        let release = kubewright_core::catalogue::release(&cluster.kubernetes).unwrap();
        let blank = offline::blank(&cluster, &release, Vec::new()).unwrap();
        let all = plan_apply(
            &cluster,
            &blank.desired.states,
            &blank.desired.object_names(),
            &blank.observed,
        )
        .unwrap();
        let person = Script {
            answers: RefCell::new(answers.to_vec()),
            heard: RefCell::default(),
        };
        let question = Question {
            cluster: &cluster,
            show: &|plan| text::summary(plan),
            explain: &|_| "because".to_owned(),
        };
        let chosen = question
            .ask(&all, all.clone(), &person)
            .map(|plan| plan.steps.iter().map(|planned| planned.id.to_string()).collect());
        (chosen, person.heard.into_inner())
    }

    #[test]
    fn only_a_plain_yes_is_a_yes() {
        for line in ["yes", "y", " yes "] {
            assert_eq!(Answer::of(line), Answer::Yes);
        }
        for line in ["", "no", "n", "no way"] {
            assert_eq!(Answer::of(line), Answer::No);
        }
        for line in ["yes please", "yep", "ok"] {
            assert_eq!(Answer::of(line), Answer::Unclear);
        }
        let both = Answer::Only(vec!["cp-1".to_owned(), "w-2".to_owned()]);
        assert_eq!(Answer::of("only cp-1,w-2"), both);
        assert_eq!(Answer::of("only cp-1, w-2"), both);
    }

    #[test]
    fn no_changes_nothing() {
        for line in ["no", ""] {
            let said = answer(&[line]).0.unwrap_err().render();
            assert!(said.contains("[not-confirmed]"), "{said}");
        }
    }

    #[test]
    fn a_part_is_shown_and_asked_about_again() {
        let (chosen, heard) = answer(&["explain", "only cp-1", "yes"]);
        let chosen = chosen.unwrap();
        assert!(chosen.iter().any(|id| id == "cp-1/etcd"), "{chosen:?}");
        assert!(chosen.iter().all(|id| !id.starts_with("w-1/")), "{chosen:?}");
        assert_eq!(heard.matches("Apply this to cluster small?").count(), 3);
        assert!(heard.contains("because\n"), "{heard}");
        assert!(
            heard.contains("on 2 nodes\n") && heard.contains("on 1 node\n"),
            "{heard}"
        );
    }

    #[test]
    fn what_cannot_be_left_out_is_named_and_the_whole_plan_stays() {
        let (chosen, heard) = answer(&["only w-1", "only nobody", "what", "yes"]);
        assert!(chosen.unwrap().iter().any(|id| id == "cp-1/etcd"));
        assert!(heard.contains("which is not selected"), "{heard}");
        assert!(heard.contains("there is no node \"nobody\""), "{heard}");
    }
}
