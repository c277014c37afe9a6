//! The reference page of the safety rules, made from their list.

use std::fmt::Write as _;

use super::RULES;

const HEAD: &str = "\
# Safety rules

Written by a test from the list in the program.

A safety rule refuses what would harm the cluster. It ends with exit code 20, its name is the id of the error, and the hint
says what to do. `--yes` skips the question, never a rule. A rule that is checked before there is a plan has changed nothing;
one that refuses during a run stops it: finished steps are kept, and the same command continues when the problem is fixed.

These rules are checked by name. What every step guarantees by the way it is built (files are replaced atomically, a change
is in the node's journal before it is made, one run at a time holds a node's lock) is described in [runs](runs.md).

| rule | what it says | when it is checked |
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
