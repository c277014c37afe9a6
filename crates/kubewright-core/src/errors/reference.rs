//! The reference page of the errors, made from the same lists that make them.

use std::fmt::Write as _;

use super::{Diagnosis, ErrorId};
use crate::spec::RULES;

const HEAD: &str = "\
# Errors

Written by a test from the lists in the program.

Every error has an id, in brackets at the end of its first line. It does not change between releases; the id decides
the [exit code](exit-codes.md), except that a run that began and did not finish is 10 unless a
safety rule stopped it (20). An error reads downward:

```text
error: NODE: WHAT WAS BEING DONE [ID]
  step: the step of the plan
  command: the command that was run
  because: why it did not work, from the outside in
  last log lines: the end of the journal of the unit concerned
  probably: what those lines point to
  hint: what to do next
```

Lines that do not apply are left out. What comes from a node is escaped before it is shown, and log lines are the last
ones only: the file named by the last hint has everything.

With `-o json` or `-o yaml` the error is one line of JSON, the last line on standard error: an object of `apiVersion`
`kubewright/v1alpha1` and `kind` `Error` with `id`, `exitCode`, `message`, and, where they apply, `details` (a list), `node`,
`step` (`id`, `title`), `command`, `causes`, `log` (`unit`, `lines`), `probableCause` (`id`, `text`), `next` (a list), `findings`
(of cluster.yaml, with `rule`, `path`, `place`, `message`, `hint`; of machines, with `id`, `severity`, `node`, `message`,
`fix`) and `also` (further errors, of other nodes
or steps). Usage errors (exit code 2) have no id: the argument parser prints them.

Findings of `kubewright check` have their own ids, see [checks](checks.md).
";

/// Returns the page as Markdown.
pub fn reference() -> String {
    let mut page = String::from(HEAD);
    page.push_str("\n## Ids\n");
    for id in ErrorId::ALL {
        let _ = write!(
            page,
            "\n### {id}\n\nExit code {}. {}\n\n{}\n",
            id.kind().exit_code(),
            id.means(),
            id.remedy()
        );
    }
    page.push_str(
        "\n## Probable causes\n\nFrom the last lines of a unit's journal, by known messages. The first match \
         is shown.\n\n| id | probable cause | message |\n| --- | --- | --- |\n",
    );
    for diagnosis in Diagnosis::ALL {
        let signs: Vec<String> = diagnosis.signs().map(|sign| format!("`{sign}`")).collect();
        let _ = writeln!(
            page,
            "| `{}` | {} | {} |",
            diagnosis.id,
            diagnosis.cause,
            signs.join(", ")
        );
    }
    page.push_str(
        "\n## Rules of cluster.yaml\n\nThe id of each error or warning of the file, in brackets at the end of its first \
         line.\n\n| id | found when |\n| --- | --- |\n",
    );
    for (rule, meaning) in RULES {
        let _ = writeln!(page, "| `{rule}` | {meaning} |");
    }
    page
}
