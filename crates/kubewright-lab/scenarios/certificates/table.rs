//! What docs/reference/certificates.md promises, read from its tables: the document and the machines must agree.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, bail, ensure};

/// The document itself.
pub(super) const DOCUMENT: &str = include_str!("../../../../docs/reference/certificates.md");

/// A promised certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Promise {
    pub(super) path: String,
    /// Who may do what with its key.
    pub(super) key_access: KeyAccess,
    /// As in the first column of the table of authorities.
    pub(super) authority: String,
    pub(super) common_name: String,
    pub(super) organization: String,
    pub(super) names: BTreeSet<String>,
    pub(super) usages: BTreeSet<String>,
}

impl Promise {
    /// Where its key is.
    pub(super) fn key_path(&self) -> String {
        format!("{}.key", self.path.trim_end_matches(".crt"))
    }
}

/// Owner and mode of a key, as `stat` says them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct KeyAccess {
    /// `USER:GROUP`.
    pub(super) owner: String,
    /// In octal.
    pub(super) mode: &'static str,
}

impl KeyAccess {
    /// From the document's remark: nothing (root alone), a user, or `group NAME` (root's, readable by a group).
    fn noted(remark: Option<&str>) -> Self {
        let (owner, mode) = match remark {
            None => ("root:root".to_owned(), "600"),
            Some(remark) => match remark.strip_prefix("group ") {
                Some(group) => (format!("root:{group}"), "640"),
                None => (format!("{remark}:{remark}"), "600"),
            },
        };
        Self { owner, mode }
    }
}

/// An authority.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Authority {
    pub(super) common_name: String,
    pub(super) certificate: String,
    pub(super) key: String,
    /// Who may do what with the key.
    pub(super) key_access: KeyAccess,
    /// Whether its certificate is on workers, too.
    pub(super) is_everywhere: bool,
}

/// A node, as far as the document's words for it go.
#[derive(Debug, Clone)]
pub(super) struct Subject {
    pub(super) node: String,
    pub(super) address: String,
    pub(super) is_control_plane: bool,
}

/// The authorities by the document's word for them.
pub(super) fn authorities(document: &str) -> Result<BTreeMap<String, Authority>> {
    let rows = rows(document, "CAs")?;
    let authority = |cells: &Vec<String>| -> Result<(String, Authority)> {
        let [word, common_name, certificate, key, ..] = cells.as_slice() else {
            bail!("a row of authorities has too few cells: {cells:?}");
        };
        let authority = Authority {
            common_name: code(common_name)?,
            certificate: code(certificate)?,
            key: code(key)?,
            key_access: KeyAccess::noted(remark(key, "(")),
            is_everywhere: certificate.contains("(all nodes)"),
        };
        Ok((word.clone(), authority))
    };
    rows.iter().map(authority).collect()
}

/// The certificates promised on a node of the lab, whose clusters keep the default domain and service range.
pub(super) fn promises(document: &str, subject: &Subject) -> Result<Vec<Promise>> {
    let mut all = rows(document, "On every node")?;
    if subject.is_control_plane {
        all.extend(rows(document, "On control planes")?);
    }
    all.iter()
        .map(|cells| promise(document, cells, subject))
        .collect()
}

/// The files with shared secrets that are no authority's key, and public files beside them.
pub(super) fn shared_secrets(document: &str) -> Result<Vec<String>> {
    let rows = rows(document, "Shared secrets")?;
    Ok(rows
        .iter()
        .filter_map(|cells| code(cells.first()?).ok())
        .collect())
}

fn promise(document: &str, cells: &[String], subject: &Subject) -> Result<Promise> {
    let [
        certificate,
        authority,
        common_name,
        organization,
        names,
        usage,
        ..,
    ] = cells
    else {
        bail!("a row of certificates has too few cells: {cells:?}");
    };
    let names = if names == "see below" {
        names_below(document)?
    } else {
        words(names)
    };
    let resolve = |word: &str| {
        word.replace("NODE", &subject.node)
            .replace("ADDRESS", &subject.address)
    };
    Ok(Promise {
        path: code(certificate)?,
        key_access: KeyAccess::noted(remark(certificate, "(key: ")),
        authority: authority.clone(),
        common_name: resolve(plain(common_name)),
        organization: plain(organization).to_owned(),
        names: names.iter().map(|name| resolve(name)).collect(),
        usages: words(usage).into_iter().collect(),
    })
}

/// The names of the API server's certificate, from the paragraph below its table.
fn names_below(document: &str) -> Result<Vec<String>> {
    let (_, rest) = document
        .split_once("Names of `apiserver.crt`:")
        .context("the document does not say the names of apiserver.crt")?;
    let paragraph = rest.split("\n\n").next().unwrap_or_default().replace('\n', " ");
    let mut names = Vec::new();
    for phrase in paragraph.trim().trim_end_matches('.').split(", ") {
        match phrase {
            "the first address of the service range" => names.push("10.96.0.1".to_owned()),
            // The lab's cluster files set neither.
            "the host of `controlPlane.endpoint`" | "and everything in `controlPlane.extraSans`" => {}
            name => {
                let name = plain(name).replace("DOMAIN", "cluster.local");
                ensure!(!name.contains(' '), "no name this test understands: {phrase:?}");
                names.push(name);
            }
        }
    }
    Ok(names)
}

/// The cells of the table under a heading, without its head.
fn rows(document: &str, heading: &str) -> Result<Vec<Vec<String>>> {
    let (_, section) = document
        .split_once(&format!("\n## {heading}\n"))
        .with_context(|| format!("the document has no section {heading:?}"))?;
    let section = section.split("\n## ").next().unwrap_or_default();
    let table: Vec<&str> = section.lines().filter(|line| line.starts_with('|')).collect();
    ensure!(table.len() > 2, "section {heading:?} has no table");
    let cells = |line: &&str| {
        let inner = line.trim().trim_start_matches('|').trim_end_matches('|');
        inner.split('|').map(|cell| cell.trim().to_owned()).collect()
    };
    Ok(table[2..].iter().map(cells).collect())
}

/// What a cell says in parentheses that begin so.
fn remark<'c>(cell: &'c str, begin: &str) -> Option<&'c str> {
    let (_, rest) = cell.split_once(begin)?;
    rest.split_once(')').map(|(remark, _)| remark)
}

/// The first piece of code in a cell.
fn code(cell: &str) -> Result<String> {
    let piece = cell.split('`').nth(1);
    Ok(piece
        .with_context(|| format!("no path or name in {cell:?}"))?
        .to_owned())
}

fn words(cell: &str) -> Vec<String> {
    cell.split(", ")
        .map(|word| plain(word).to_owned())
        .filter(|word| !word.is_empty())
        .collect()
}

fn plain(word: &str) -> &str {
    word.trim().trim_matches('`')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subject(is_control_plane: bool) -> Subject {
        Subject {
            node: "n1".to_owned(),
            address: "192.0.2.1".to_owned(),
            is_control_plane,
        }
    }

    fn find(promises: &[Promise], path: &str) -> Promise {
        promises
            .iter()
            .find(|promise| promise.path.ends_with(path))
            .unwrap()
            .clone()
    }

    #[test]
    fn the_document_can_be_read() {
        let promises = promises(DOCUMENT, &subject(true)).unwrap();
        let peer = find(&promises, "/etcd/peer.crt");
        assert_eq!(peer.authority, "etcd");
        assert_eq!(
            (peer.key_access.owner.as_str(), peer.key_access.mode),
            ("etcd:etcd", "600")
        );
        assert_eq!(peer.key_path(), "/etc/kubernetes/pki/etcd/peer.key");
        assert_eq!(peer.usages, ["client", "server"].map(str::to_owned).into());
        let kubelet = find(&promises, "/kubelet-client.crt");
        assert_eq!(
            (kubelet.common_name.as_str(), kubelet.organization.as_str()),
            ("system:node:n1", "system:nodes")
        );
        assert_eq!(kubelet.key_access, KeyAccess::noted(None));
        let server = find(&promises, "/apiserver.crt");
        assert_eq!(
            (server.key_access.owner.as_str(), server.key_access.mode),
            ("root:kube-apiserver", "640")
        );
        for name in [
            "n1",
            "kubernetes.default.svc.cluster.local",
            "10.96.0.1",
            "192.0.2.1",
        ] {
            assert!(server.names.contains(name), "{name}: {:?}", server.names);
        }
        assert_eq!(
            authorities(DOCUMENT).unwrap()["front proxy"].common_name,
            "front-proxy-ca"
        );
        let cluster = &authorities(DOCUMENT).unwrap()["cluster"];
        assert_eq!(cluster.key_access.owner, "root:kube-controller-manager");
        assert!(
            shared_secrets(DOCUMENT)
                .unwrap()
                .contains(&"/etc/kubernetes/pki/sa.key".to_owned())
        );
    }

    #[test]
    fn workers_are_promised_no_certificate_of_control_planes() {
        let promises = promises(DOCUMENT, &subject(false)).unwrap();
        assert!(
            promises
                .iter()
                .any(|promise| promise.path.ends_with("kubelet.crt"))
        );
        assert!(!promises.iter().any(|promise| promise.path.contains("apiserver")));
    }

    #[test]
    fn an_unknown_phrase_among_the_names_is_an_error() {
        let document = DOCUMENT.replace("the first address of the service range", "some other address");
        assert!(promises(&document, &subject(true)).is_err());
    }
}
