//! The certificates kubewright put on the node, with the day each ends.
//!
//! The kubelet renews the one it was given into files of its own; the newest of them counts as well.

use kubewright_core::observed::CertificateFact;
use kubewright_core::resource::AuthorityName;
use zeroize::Zeroizing;

use super::LIMIT;
use crate::ledger::Ledger;
use crate::tree::Tree;
use crate::x509::Leaf;

/// Links the kubelet keeps to the newest of its files.
const RENEWED: [&str; 1] = ["/var/lib/kubelet/pki/kubelet-client-current.pem"];

pub(super) fn find(tree: &Tree, ledger: &Ledger) -> Vec<CertificateFact> {
    let issued = ledger.owned.keys().filter(|id| id.kind() == "certificate");
    let mut paths: Vec<&str> = issued.map(kubewright_core::resource::ResourceId::what).collect();
    paths.extend(AuthorityName::ALL.map(AuthorityName::certificate_path));
    paths.extend(RENEWED);
    paths.sort_unstable();
    paths.dedup();
    paths.into_iter().filter_map(|path| look(tree, path)).collect()
}

fn look(tree: &Tree, path: &str) -> Option<CertificateFact> {
    let target = match tree.read_link(path).ok()? {
        Some(target) if target.starts_with('/') => target,
        Some(target) => format!("{}/{target}", path.rsplit_once('/')?.0),
        None => path.to_owned(),
    };
    // A combined file has the key beside the certificate.
    let text = Zeroizing::new(tree.read(&target, LIMIT).ok()??);
    let leaf = Leaf::parse(&text)?;
    Some(CertificateFact {
        path: path.to_owned(),
        common_name: leaf.common_name,
        not_after: leaf.not_after,
    })
}
