//! Every certificate and key on every machine against docs/reference/certificates.md: OpenSSL verifies each against its
//! authority and refuses it under the others; subjects, names and usages are those of the table; private keys are for
//! their owner, or the one group that is named; and there is no certificate and no key that the document does not name.

mod table;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use anyhow::{Context, Result, ensure};

use super::Stage;
use table::{Authority, DOCUMENT, Promise, Subject};

/// What one machine said: words by path.
type Said = BTreeMap<String, BTreeMap<String, String>>;

/// Looks at all machines; says how many certificates it verified.
pub(super) fn verify(stage: &Stage) -> Result<usize> {
    let machines = stage.machines()?;
    let addresses = stage.addresses()?;
    let verified = Stage::on_each(&machines, |machine| {
        let subject = Subject {
            node: machine.to_owned(),
            address: addresses[machine].to_string(),
            is_control_plane: machine.starts_with("cp-"),
        };
        verify_machine(stage, &subject)
    })?;
    Ok(verified.iter().sum())
}

fn verify_machine(stage: &Stage, subject: &Subject) -> Result<usize> {
    let mut authorities = table::authorities(DOCUMENT)?;
    authorities.retain(|_, authority| subject.is_control_plane || authority.is_everywhere);
    let promises = table::promises(DOCUMENT, subject)?;
    let said = parse(&stage.script(&subject.node, &questions(&authorities, &promises))?);
    for promise in &promises {
        check_certificate(promise, &authorities, &said).with_context(|| promise.path.clone())?;
    }
    let mut expected: BTreeSet<String> = BTreeSet::new();
    for authority in authorities.values() {
        check_authority(authority, subject, &said).with_context(|| authority.certificate.clone())?;
        expected.insert(authority.certificate.clone());
        if subject.is_control_plane {
            expected.insert(authority.key.clone());
        }
    }
    for promise in &promises {
        expected.extend([promise.path.clone(), promise.key_path()]);
    }
    if subject.is_control_plane {
        expected.extend(table::shared_secrets(DOCUMENT)?);
    }
    for (path, words) in &said {
        let Some(kind) = words.get("found") else { continue };
        ensure!(
            expected.contains(path) || is_renewed_kubelet(path),
            "{path} has a {kind}; the document does not name it"
        );
        ensure!(
            kind != "key"
                || words
                    .get("mode")
                    .is_some_and(|mode| mode.ends_with("00") || mode == "640"),
            "{path} has a private key and mode {:?}",
            words.get("mode")
        );
    }
    Ok(promises.len() + authorities.len())
}

/// The kubelet renews its client certificate itself, into a file with a date that `kubelet-client-current.pem` leads to.
fn is_renewed_kubelet(path: &str) -> bool {
    path.strip_prefix("/var/lib/kubelet/pki/kubelet-client-")
        .and_then(|rest| rest.strip_suffix(".pem"))
        .is_some()
}

fn check_certificate(
    promise: &Promise,
    authorities: &BTreeMap<String, Authority>,
    said: &Said,
) -> Result<()> {
    let words = said.get(&promise.path).context("nothing was said of it")?;
    let word = |name: &str| words.get(name).map(String::as_str).unwrap_or_default();
    let is = |name: &str, expected: &str| {
        ensure!(
            word(name) == expected,
            "{name} is {:?}, not {expected:?}",
            word(name)
        );
        Ok(())
    };
    let subject: BTreeSet<&str> = word("subject").split(',').map(str::trim).collect();
    let mut expected = BTreeSet::from([format!("CN={}", promise.common_name)]);
    if !promise.organization.is_empty() {
        expected.insert(format!("O={}", promise.organization));
    }
    ensure!(
        subject == expected.iter().map(String::as_str).collect(),
        "the subject is {subject:?}, not {expected:?}"
    );
    ensure!(
        names(word("names")) == promise.names,
        "the names are {:?}, not {:?}",
        names(word("names")),
        promise.names
    );
    ensure!(
        usages(word("usage")) == promise.usages,
        "the usages are {:?}, not {:?}",
        usages(word("usage")),
        promise.usages
    );
    for authority in authorities.keys() {
        let good = *authority == promise.authority;
        is(&format!("under {authority}"), if good { "OK" } else { "refused" })?;
    }
    for (usage, purpose) in [("server", "sslserver"), ("client", "sslclient")] {
        let good = promise.usages.contains(usage);
        is(purpose, if good { "OK" } else { "refused" })?;
    }
    is("curve", "P-256")?;
    is("today", "valid")?;
    is("key fits", "yes")?;
    is("key mode", promise.key_access.mode)?;
    is("key owner", &promise.key_access.owner)?;
    is("mode", "644")
}

fn check_authority(authority: &Authority, subject: &Subject, said: &Said) -> Result<()> {
    let words = said
        .get(&authority.certificate)
        .context("nothing was said of it")?;
    let is = |name: &str, expected: &str| {
        let word = words.get(name).map(String::as_str).unwrap_or_default();
        ensure!(word == expected, "{name} is {word:?}, not {expected:?}");
        Ok(())
    };
    is("subject", &format!("CN={}", authority.common_name))?;
    is("itself", "OK")?;
    is("is an authority", "yes")?;
    is("mode", "644")?;
    let (mode, owner) = if subject.is_control_plane {
        (authority.key_access.mode, authority.key_access.owner.as_str())
    } else {
        ("none", "none")
    };
    is("key mode", mode)?;
    is("key owner", owner)
}

/// The script that asks OpenSSL and the file system; each answer is a line `path TAB word TAB answer`.
fn questions(authorities: &BTreeMap<String, Authority>, promises: &[Promise]) -> String {
    let mut script = String::from(FUNCTIONS);
    for authority in authorities.values() {
        let Authority { certificate, key, .. } = authority;
        let _ = writeln!(script, "access {certificate} {key}\nauthority {certificate}");
    }
    for promise in promises {
        let (path, key) = (&promise.path, promise.key_path());
        let _ = writeln!(script, "access {path} {key}\nidentity {path} {key}");
        for (word, authority) in authorities {
            let _ = writeln!(script, "under {path} '{word}' {}", authority.certificate);
            if *word == promise.authority {
                let _ = writeln!(script, "purposes {path} {}", authority.certificate);
            }
        }
    }
    script.push_str(SEARCH);
    script
}

const FUNCTIONS: &str = r#"
say() { printf '%s\t%s\t%s\n' "$1" "$2" "$3"; }
verdict() { if openssl verify "$@" >/dev/null 2>&1; then echo OK; else echo refused; fi; }
extension() { openssl x509 -in "$1" -noout -ext "$2" 2>/dev/null | sed 1d | tr -d '\n'; }
access() {
    say "$1" mode "$(stat -L -c %a "$1")"
    if [ -e "$2" ]; then
        say "$1" 'key mode' "$(stat -L -c %a "$2")"
        say "$1" 'key owner' "$(stat -L -c %U:%G "$2")"
    else
        say "$1" 'key mode' none
        say "$1" 'key owner' none
    fi
}
subject() { say "$1" subject "$(openssl x509 -in "$1" -noout -subject -nameopt RFC2253 | sed 's/^subject=//')"; }
authority() {
    subject "$1"
    say "$1" itself "$(verdict -CAfile "$1" -check_ss_sig "$1")"
    case $(extension "$1" basicConstraints) in *CA:TRUE*) say "$1" 'is an authority' yes ;; esac
}
identity() {
    subject "$1"
    say "$1" names "$(extension "$1" subjectAltName)"
    say "$1" usage "$(extension "$1" extendedKeyUsage)"
    say "$1" curve "$(openssl x509 -in "$1" -noout -text | sed -n 's/.*NIST CURVE: //p')"
    if openssl x509 -in "$1" -noout -checkend 0 >/dev/null; then say "$1" today valid; fi
    if [ "$(openssl x509 -in "$1" -noout -pubkey)" = "$(openssl pkey -in "$2" -pubout)" ]; then say "$1" 'key fits' yes; fi
}
under() { say "$1" "under $2" "$(verdict -CAfile "$3" -no-CApath -no-CAstore "$1")"; }
purposes() {
    for purpose in sslserver sslclient; do
        say "$1" "$purpose" "$(verdict -CAfile "$2" -no-CApath -no-CAstore -purpose "$purpose" "$1")"
    done
}
"#;

/// All files with certificates or private keys: not in the system's own trust store, the host keys of its sshd, images
/// and the copies of the authority's certificate in pods.
const SEARCH: &str = r#"
search() {
    { grep -rlIs -e "$1" --exclude-dir=ssl --exclude-dir=ssh --exclude-dir=containerd --exclude-dir=pods \
        --exclude-dir=ca-certificates --exclude-dir=io.containerd.runtime.v2.task \
        /etc /root /home /srv /opt /usr/local /tmp /var /run || true; } | while read -r path; do
        say "$path" found "$2"
        say "$path" mode "$(stat -L -c %a "$path")"
    done
}
search '-----BEGIN CERTIFICATE-----' certificate
search 'BEGIN .*PRIVATE KEY-----' key
search 'client-key-data' key
"#;

fn parse(text: &str) -> Said {
    let mut said = Said::new();
    for line in text.lines() {
        let mut fields = line.splitn(3, '\t');
        let (Some(path), Some(word), Some(answer)) = (fields.next(), fields.next(), fields.next()) else {
            continue;
        };
        let words = said.entry(path.to_owned()).or_default();
        words.insert(word.to_owned(), answer.to_owned());
    }
    said
}

fn names(extension: &str) -> BTreeSet<String> {
    let parts = extension
        .split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty());
    parts
        .map(|part| {
            part.trim_start_matches("DNS:")
                .trim_start_matches("IP Address:")
                .to_owned()
        })
        .collect()
}

fn usages(extension: &str) -> BTreeSet<String> {
    let parts = extension
        .split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty());
    parts
        .map(|part| match part {
            "TLS Web Server Authentication" => "server".to_owned(),
            "TLS Web Client Authentication" => "client".to_owned(),
            other => other.to_owned(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extensions_are_read_as_openssl_prints_them() {
        assert_eq!(
            names("    DNS:cp-1, DNS:localhost, IP Address:127.0.0.1"),
            ["cp-1", "localhost", "127.0.0.1"].map(str::to_owned).into()
        );
        assert_eq!(
            usages("    TLS Web Server Authentication, Code Signing"),
            ["server", "Code Signing"].map(str::to_owned).into()
        );
        assert!(names("").is_empty() && usages("").is_empty());
    }

    #[test]
    fn a_wrong_answer_is_not_accepted() {
        let subject = Subject {
            node: "cp-1".to_owned(),
            address: "192.0.2.1".to_owned(),
            is_control_plane: true,
        };
        let authorities = table::authorities(DOCUMENT).unwrap();
        let promise = table::promises(DOCUMENT, &subject)
            .unwrap()
            .into_iter()
            .find(|promise| promise.path.ends_with("/scheduler.crt"))
            .unwrap();
        let good = [
            ("subject", "CN=system:kube-scheduler"),
            ("usage", "TLS Web Client Authentication"),
            ("under cluster", "OK"),
            ("under etcd", "refused"),
            ("under front proxy", "refused"),
            ("sslserver", "refused"),
            ("sslclient", "OK"),
            ("curve", "P-256"),
            ("today", "valid"),
            ("key fits", "yes"),
            ("key mode", "640"),
            ("key owner", "root:kube-scheduler"),
            ("mode", "644"),
        ];
        let said = |words: &[(&str, &str)]| -> Said {
            let words = words
                .iter()
                .map(|(word, answer)| ((*word).to_owned(), (*answer).to_owned()));
            Said::from([(promise.path.clone(), words.collect())])
        };
        check_certificate(&promise, &authorities, &said(&good)).unwrap();
        for position in 0..good.len() {
            let mut bad = good;
            bad[position].1 = "another answer";
            assert!(
                check_certificate(&promise, &authorities, &said(&bad)).is_err(),
                "{:?} is not looked at",
                good[position].0
            );
        }
    }
}
