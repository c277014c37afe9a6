//! A failure for programs: one line of JSON, the same words as the text.

use kubewright_core::shown::{paragraph, sentence};
use serde::Serialize;

use super::Failure;

/// The version of the document, and what it is.
const API_VERSION: &str = "kubewright/v1alpha1";
const KIND: &str = "Error";

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    api_version: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<&'static str>,
    id: &'static str,
    exit_code: u8,
    message: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    details: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    node: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    step: Option<Step<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    command: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    causes: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    log: Option<Log<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    probable_cause: Option<ProbableCause>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    next: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    findings: Option<&'a [serde_json::Value]>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    also: Vec<Document<'a>>,
}

#[derive(Serialize)]
struct Step<'a> {
    id: &'a str,
    title: &'a str,
}

#[derive(Serialize)]
struct Log<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    unit: Option<&'a str>,
    lines: Vec<String>,
}

#[derive(Serialize)]
struct ProbableCause {
    id: &'static str,
    text: &'static str,
}

impl Failure {
    /// The document, without a line break.
    pub(crate) fn json(&self) -> String {
        let document = Document {
            api_version: Some(API_VERSION),
            kind: Some(KIND),
            ..self.document()
        };
        // Strings, numbers and lists of them: there is nothing that JSON cannot hold.
        serde_json::to_string(&document).unwrap_or_default()
    }

    fn document(&self) -> Document<'_> {
        let short = |texts: &[String]| texts.iter().map(|text| paragraph(text)).collect::<Vec<_>>();
        Document {
            api_version: None,
            kind: None,
            id: self.id.as_str(),
            exit_code: self.exit_code(),
            message: self.message(),
            details: short(&self.details),
            node: self.node.as_deref(),
            step: self.step.as_ref().map(|(id, title)| Step { id, title }),
            command: self.command.as_ref().map(|command| sentence(command)),
            causes: short(&self.causes),
            log: (!self.log.is_empty()).then(|| Log {
                unit: self.unit.as_deref(),
                lines: self.shown_log().collect(),
            }),
            probable_cause: self.diagnosis.map(|diagnosis| ProbableCause {
                id: diagnosis.id,
                text: diagnosis.cause,
            }),
            next: short(&self.hints),
            findings: self.findings.as_ref().map(|findings| findings.values.as_slice()),
            also: self.others.iter().map(Self::document).collect(),
        }
    }
}
