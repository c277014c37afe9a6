//! The parser's complaints in the words of a user who edits a cluster file.

use serde_saphyr::granit_parser::ErrorKind;

/// Returns what is wrong and what to do, for one of the parser's errors. A bracket that is open since an earlier line
/// is the likelier cause of most of them.
pub(super) fn syntax_problem(kind: &ErrorKind, unclosed: Option<(char, usize)>) -> (String, String) {
    let is_about_brackets = matches!(
        kind,
        ErrorKind::MisplacedFlowCollectionEnd
            | ErrorKind::MismatchedFlowCollectionEnd { .. }
            | ErrorKind::RecursionLimitExceeded
            | ErrorKind::DirectiveDisallowed
    );
    if let Some((bracket, line)) = unclosed.filter(|_| !is_about_brackets) {
        let closing = if bracket == '[' { ']' } else { '}' };
        return (
            format!("`{bracket}` on line {line} is not closed, or not rightly"),
            format!("add the closing `{closing}`, and commas between the entries"),
        );
    }
    let (problem, hint): (&str, &str) = match kind {
        ErrorKind::TabNotAllowed
        | ErrorKind::TabInBlockIndentation
        | ErrorKind::TabInIndentation
        | ErrorKind::TabAtBlockScalarStart
        | ErrorKind::TabInPlainScalar => ("a tab where YAML allows only spaces", "replace it with spaces"),
        ErrorKind::InvalidIndentation
        | ErrorKind::ExpectedBlockMappingKey
        | ErrorKind::ExpectedBlockSequenceEntry
        | ErrorKind::BlockSequenceEntryNotAllowed
        | ErrorKind::MappingKeyNotAllowed => (
            "this line does not fit the lines above it",
            "give it the same indentation as its neighbours; a key needs `: ` after it, a list item `- ` before it",
        ),
        ErrorKind::MappingValueNotAllowed | ErrorKind::InvalidColonPlacement => (
            "a second `:` on this line",
            "put the value in quotes if it has `: ` in it, or write a nested map in `{ }` or on lines of its own",
        ),
        ErrorKind::SimpleKeyExpected | ErrorKind::InvalidSimpleKey => (
            "a key without a value",
            "write `key: value`, with a space after the colon",
        ),
        ErrorKind::UnclosedQuotedScalar
        | ErrorKind::InvalidQuotedScalarIndent
        | ErrorKind::DocumentIndicatorInQuotedScalar => (
            "a quote that is never closed",
            "add the closing quote on the line it began; a quote inside single quotes is written twice",
        ),
        ErrorKind::UnclosedFlowCollection { open } => {
            return (
                format!("`{open}` is never closed"),
                format!("add the closing `{}`", if *open == '[' { ']' } else { '}' }),
            );
        }
        ErrorKind::UnexpectedEofFlowSequence => ("`[` is never closed", "add the closing `]`"),
        ErrorKind::UnexpectedEofFlowMapping | ErrorKind::UnexpectedEofImplicitFlowMapping => {
            ("`{` is never closed", "add the closing `}`")
        }
        ErrorKind::MisplacedFlowCollectionEnd => (
            "a closing bracket without an opening one",
            "remove it, or put the text in quotes",
        ),
        ErrorKind::MismatchedFlowCollectionEnd { open, close } => {
            return (
                format!("`{open}` is closed by `{close}`"),
                "close each bracket with its own kind".into(),
            );
        }
        ErrorKind::ExpectedFlowMappingSeparator => (
            "a `,` or `}` is missing before this",
            "separate the entries of `{ }` with commas",
        ),
        ErrorKind::ExpectedFlowSequenceSeparator => (
            "a `,` or `]` is missing before this",
            "separate the items of `[ ]` with commas",
        ),
        ErrorKind::UnknownAnchor => (
            "an alias to an anchor that does not exist",
            "text that begins with `*` needs quotes",
        ),
        ErrorKind::RecursionLimitExceeded => (
            "values are nested deeper than 64 levels",
            "no cluster file needs that; check the brackets",
        ),
        ErrorKind::DirectiveDisallowed => ("YAML directives are not used in this file", "remove the line"),
        ErrorKind::UnexpectedCharacter { character } => {
            return (
                format!("text cannot begin with `{}`", character.escape_default()),
                "put the text in quotes".into(),
            );
        }
        other => return (other.to_string(), "the mistake may be on the line before".into()),
    };
    (problem.to_owned(), hint.to_owned())
}
