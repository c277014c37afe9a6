//! The reference page of the safety rules, made from their list.

use std::fmt::Write as _;

use super::RULES;

const HEAD: &str = "\
# Safety rules

Written by a test from the list in the program.

A safety rule says what is never done. When one refuses, the exit code is 20, the error's id is the rule's name, and the
hint says what to do. `--yes` skips questions, never rules. A rule that refuses before there is a plan has changed
nothing; one that refuses while a plan is carried out has stopped the run: finished steps are kept, and the same command
goes on when what the error names is repaired.

These are all rules that are asked by name. What every step keeps by the way it is built (files are replaced whole, a
change is in the node's journal before it is made, one run at a time holds a node's lock) is told on the page about
[runs](runs.md).

| rule | what it says | when it is asked |
| --- | --- | --- |
";

/// Returns the page as Markdown.
pub fn safety_rules_page() -> String {
    let mut page = String::from(HEAD);
    for rule in RULES {
        let _ = writeln!(
            page,
            "| [`{0}`](errors.md#{0}) | {1} | {2} |",
            rule.id, rule.sentence, rule.asked
        );
    }
    page
}
