//! The keys and words a file may hold, and what people who come from other tools write instead.

/// Every map with a fixed set of keys, by its path; items of lists as `[]`, components as `*`.
pub(super) const KNOWN_KEYS: &[(&str, &[&str])] = &[
    ("", &["apiVersion", "kind", "metadata", "spec"]),
    ("metadata", &["name"]),
    (
        "spec",
        &[
            "kubernetes",
            "controlPlane",
            "etcd",
            "network",
            "security",
            "artifacts",
            "proxy",
            "registries",
            "dns",
            "oidc",
            "ssh",
            "rollout",
            "checks",
            "components",
            "addons",
            "nodes",
        ],
    ),
    ("spec.controlPlane", &["mode", "endpoint", "extraSans"]),
    ("spec.etcd", &["snapshots"]),
    ("spec.etcd.snapshots", &["every", "keep"]),
    (
        "spec.network",
        &["podCidr", "serviceCidr", "domain", "cni", "proxy", "mtu"],
    ),
    (
        "spec.security",
        &["encryption", "audit", "podSecurity", "profile"],
    ),
    ("spec.artifacts", &["source"]),
    ("spec.artifacts.source", &["mirror", "directory", "bundle"]),
    ("spec.proxy", &["http", "https", "noProxy"]),
    ("spec.registries.*", &["mirrors", "ca", "skipVerify"]),
    ("spec.dns", &["upstream", "extraConfig"]),
    (
        "spec.oidc",
        &[
            "issuer",
            "clientId",
            "ca",
            "usernameClaim",
            "groupsClaim",
            "prefix",
        ],
    ),
    (
        "spec.ssh",
        &["user", "port", "identityFile", "knownHosts", "jump", "sudo"],
    ),
    ("spec.rollout", &["canary", "maxUnavailable"]),
    ("spec.checks", &["accept"]),
    ("spec.checks.accept[]", &["id", "reason"]),
    ("spec.components.*", &["extraArgs", "extraConfig", "extraVolumes"]),
    (
        "spec.components.*.extraVolumes[]",
        &["name", "hostPath", "mountPath", "readOnly"],
    ),
    ("spec.addons[]", &["name", "manifests"]),
    (
        "spec.nodes[]",
        &[
            "name", "address", "roles", "labels", "taints", "user", "port", "hostKey",
        ],
    ),
];

/// Returns the keys known at a place of `KNOWN_KEYS`.
pub(super) fn keys(place: &str) -> &'static [&'static str] {
    KNOWN_KEYS
        .iter()
        .find(|(path, _)| *path == place)
        .map_or(&[], |(_, keys)| keys)
}

/// What other tools call our keys. The third column, where there is one, says more than the name.
const OTHER_NAMES: &[(&str, &str, &str)] = &[
    (
        "workers",
        "nodes",
        "list workers under `spec.nodes` with `roles: [worker]`",
    ),
    (
        "masters",
        "nodes",
        "list control planes under `spec.nodes` with `roles: [control-plane]`",
    ),
    (
        "controlPlanes",
        "nodes",
        "list control planes under `spec.nodes` with `roles: [control-plane]`",
    ),
    ("hosts", "nodes", ""),
    ("machines", "nodes", ""),
    ("version", "kubernetes", ""),
    ("kubernetesVersion", "kubernetes", ""),
    ("kubeVersion", "kubernetes", ""),
    ("ip", "address", ""),
    ("host", "address", ""),
    ("privateAddress", "address", ""),
    ("internalIP", "address", ""),
    ("hostname", "name", ""),
    ("nodeName", "name", ""),
    ("role", "roles", "roles are a list: `roles: [worker]`"),
    ("podSubnet", "podCidr", ""),
    ("podNetwork", "podCidr", ""),
    ("clusterCidr", "podCidr", ""),
    ("serviceSubnet", "serviceCidr", ""),
    ("serviceNetwork", "serviceCidr", ""),
    ("dnsDomain", "domain", ""),
    ("clusterDomain", "domain", ""),
    ("plugin", "cni", ""),
    ("kubeProxy", "proxy", "kube-proxy's mode is `spec.network.proxy`"),
    ("proxyMode", "proxy", "kube-proxy's mode is `spec.network.proxy`"),
    ("httpProxy", "http", ""),
    ("httpsProxy", "https", ""),
    ("insecureSkipVerify", "skipVerify", ""),
    ("endpoints", "mirrors", ""),
    ("issuerUrl", "issuer", ""),
    ("clientID", "clientId", ""),
    ("forwarders", "upstream", ""),
    ("nameservers", "upstream", ""),
    ("certSANs", "extraSans", ""),
    ("sans", "extraSans", ""),
    ("controlPlaneEndpoint", "endpoint", ""),
    ("privateKey", "identityFile", ""),
    ("keyFile", "identityFile", ""),
    ("keyPath", "identityFile", ""),
    ("bastion", "jump", ""),
    ("proxyJump", "jump", ""),
    ("become", "sudo", ""),
    ("ignore", "accept", ""),
    ("skip", "accept", ""),
    ("args", "extraArgs", ""),
    ("config", "extraConfig", ""),
];

/// What people look for under a component, and where it is.
const ASKED_FOR: &[(&str, &str)] = &[
    (
        "environment",
        "a proxy for image pulls is `spec.proxy`; other variables cannot be set",
    ),
    (
        "env",
        "a proxy for image pulls is `spec.proxy`; other variables cannot be set",
    ),
    (
        "extraEnv",
        "a proxy for image pulls is `spec.proxy`; other variables cannot be set",
    ),
    ("mirrors", "mirrors of registries are under `spec.registries`"),
    ("registries", "mirrors of registries are under `spec.registries`"),
];

/// Returns what to say about a key that is not known at its place.
pub(super) fn hint_for_unknown_key(key: &str, path: &str, known_keys: &[&str]) -> String {
    if key == "<<" {
        return "write the values out, or use an alias for a whole value".to_owned();
    }
    if key.is_empty() {
        return format!("known keys here: {}", known_keys.join(", "));
    }
    if let Some(near) = nearest(key, known_keys) {
        return format!("did you mean `{near}`?");
    }
    if let Some((_, ours, more)) = OTHER_NAMES
        .iter()
        .find(|(theirs, ours, _)| theirs.eq_ignore_ascii_case(key) && known_keys.contains(ours))
    {
        return if more.is_empty() {
            format!("it is called `{ours}` here")
        } else {
            (*more).to_owned()
        };
    }
    if let Some((_, hint)) = ASKED_FOR
        .iter()
        .find(|(theirs, _)| theirs.eq_ignore_ascii_case(key) && path.starts_with("spec.components."))
    {
        return (*hint).to_owned();
    }
    if path == "spec.artifacts" && keys("spec.artifacts.source").contains(&key) {
        return format!("write it under `source`: `source: {{ {key}: … }}`");
    }
    // A plain map of KNOWN_KEYS only: a key of one list item has no single place to be moved to.
    let elsewhere = KNOWN_KEYS.iter().find(|(place, keys)| {
        !place.contains(['[', '*']) && *place != path && keys.contains(&key) && key != "name"
    });
    match elsewhere {
        Some(("", _)) => format!("`{key}` belongs at the top of the file"),
        Some((place, _)) => format!("`{key}` belongs under `{place}`"),
        None => format!("known keys here: {}", known_keys.join(", ")),
    }
}

/// Words that are understood but not accepted: path, word, what to say, what to do.
const REFUSED_WORDS: &[(&str, &str, &str, &str)] = &[
    (
        "spec.security.encryption",
        "none",
        "`none` would leave secrets readable in etcd and in every backup of it",
        "use `secretbox`, the default",
    ),
    (
        "spec.security.encryption",
        "identity",
        "`identity` would leave secrets readable in etcd and in every backup of it",
        "use `secretbox`, the default",
    ),
    (
        "spec.security.encryption",
        "aescbc",
        "`aescbc` is not yet supported; upstream calls it weak",
        "use `secretbox`, the default",
    ),
    (
        "spec.security.encryption",
        "aesgcm",
        "`aesgcm` is not supported: it is unsafe unless its key is changed every 200 000 writes",
        "use `secretbox`, the default",
    ),
    (
        "spec.security.encryption",
        "kms",
        "`kms` is not yet supported",
        "use `secretbox`, the default",
    ),
    (
        "spec.network.proxy",
        "ipvs",
        "`ipvs` is not supported: upstream is retiring it",
        "use `nftables`, the default",
    ),
    (
        "spec.network.cni",
        "weave",
        "`weave` is not supported: its project has ended",
        "use `flannel`, the default",
    ),
    (
        "spec.network.cni",
        "canal",
        "`canal` is not yet supported",
        "use `flannel`, the default",
    ),
    (
        "spec.network.cni",
        "kube-router",
        "`kube-router` is not yet supported",
        "use `flannel`, the default",
    ),
    (
        "roles",
        "master",
        "the role `master` is called `control-plane`",
        "write `control-plane`",
    ),
    (
        "roles",
        "controlplane",
        "the role `controlplane` is called `control-plane`",
        "write `control-plane`",
    ),
    (
        "roles",
        "node",
        "the role `node` is called `worker`",
        "write `worker`",
    ),
    (
        "roles",
        "etcd",
        "separate etcd nodes are not yet supported",
        "remove the role: etcd runs on every node with the role `control-plane`",
    ),
];

/// Returns what to say about a word that is not one of `all`.
pub(super) fn unknown_word(path: &str, word: &str, all: &[&str]) -> (String, String) {
    let is_here = |place: &str| path == place || (place == "roles" && path.contains(".roles"));
    if let Some((_, _, message, hint)) = REFUSED_WORDS
        .iter()
        .find(|(place, refused, ..)| is_here(place) && refused.eq_ignore_ascii_case(word))
    {
        return ((*message).to_owned(), (*hint).to_owned());
    }
    let hint = match nearest(word, all) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("write {}", one_of(all)),
    };
    (
        format!("`{}` is not a value of `{path}`", crate::value::shorten(word)),
        hint,
    )
}

/// Joins words as `a`, `b` and `c`.
pub(super) fn list(words: &[&str]) -> String {
    joined(words, "and")
}

/// Joins words as `a`, `b` or `c`.
pub(super) fn one_of(words: &[&str]) -> String {
    joined(words, "or")
}

fn joined(words: &[&str], conjunction: &str) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
    match quoted.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} {conjunction} {last}", rest.join(", ")),
        Some((last, _)) => last.clone(),
        None => String::new(),
    }
}

/// Returns the word of `all` that was probably meant: the same but for case and separators, or a slip or two away.
pub(super) fn nearest<'w>(word: &str, all: &[&'w str]) -> Option<&'w str> {
    const LONGEST: usize = 40;
    if word.chars().count() > LONGEST {
        return None;
    }
    let plain = |text: &str| -> Vec<char> {
        text.chars()
            .filter(|c| !matches!(c, '-' | '_' | ' '))
            .flat_map(char::to_lowercase)
            .collect()
    };
    let word = plain(word);
    let most = match word.len() {
        0..=2 => 0,
        3..=5 => 1,
        _ => 2,
    };
    all.iter()
        .map(|candidate| (distance(&word, &plain(candidate)), *candidate))
        .filter(|(distance, _)| *distance <= most)
        .min()
        .map(|(_, candidate)| candidate)
}

/// Returns how many slips (a letter added, left out, replaced, or two neighbours swapped) lie between two words.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut previous: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut current = vec![i + 1];
        for (j, y) in b.iter().enumerate() {
            let mut best = (previous[j] + usize::from(x != y))
                .min(previous[j + 1] + 1)
                .min(current[j] + 1);
            if i > 0 && j > 0 && *x == b[j - 1] && a[i - 1] == *y {
                best = best.min(before[j - 1] + 1);
            }
            current.push(best);
        }
        before = std::mem::replace(&mut previous, current);
    }
    previous[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_key_that_was_meant() {
        let keys = keys("spec.network");
        assert_eq!(nearest("podCIDR", keys), Some("podCidr"));
        assert_eq!(nearest("pod_cidr", keys), Some("podCidr"));
        assert_eq!(nearest("podCird", keys), Some("podCidr"));
        assert_eq!(nearest("doamin", keys), Some("domain"));
        assert_eq!(nearest("gateway", keys), None);
        assert_eq!(nearest(&"x".repeat(100_000), keys), None);
    }

    #[test]
    fn says_where_a_key_of_another_place_belongs() {
        let hint = |key: &str, path: &str| hint_for_unknown_key(key, path, keys(path));
        assert_eq!(hint("podCidr", "spec"), "`podCidr` belongs under `spec.network`");
        assert_eq!(hint("nodes", ""), "`nodes` belongs under `spec`");
        assert_eq!(
            hint("masters", "spec"),
            "list control planes under `spec.nodes` with `roles: [control-plane]`"
        );
        assert_eq!(
            hint("kubernetesVersion", "spec"),
            "it is called `kubernetes` here"
        );
        assert_eq!(
            hint("mirror", "spec.artifacts"),
            "write it under `source`: `source: { mirror: … }`"
        );
        assert_eq!(
            hint_for_unknown_key(
                "environment",
                "spec.components.containerd",
                keys("spec.components.*")
            ),
            "a proxy for image pulls is `spec.proxy`; other variables cannot be set"
        );
        assert_eq!(hint("colour", "metadata"), "known keys here: name");
    }
}
