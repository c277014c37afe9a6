//! Every secret of the cluster is searched for wherever something is written down or can be looked at: logs, journals,
//! plans, arguments and environments of processes, on the nodes and on the computer that ran kubewright.
//!
//! A canary is planted in each of these places first: a search that does not find it there is a failure, so that the
//! search itself is known to work.

mod needles;
mod processes;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};

use super::Stage;
use needles::Needles;
pub(super) use processes::Watch;

/// What is planted; it stands for a secret that got out.
const CANARY: &str = "kubewright-canary-5f0c7d1e9ab34268";

/// The places of a machine that are searched.
const PLACES: &[&str] = &["journal", "log", "kubewright", "etc", "argument", "environment"];

/// What is left on the controller is searched, too.
const CONTROLLER: &[&str] = &["state/planted.log", "planted.txt"];

/// Searches everything; says how many pieces of secrets were searched for.
///
/// `watch` has looked at the processes of this computer, and so of all machines, while kubewright worked.
pub(super) fn search(stage: &Stage, watch: Watch) -> Result<usize> {
    let seen = watch.finish()?;
    let machines = stage.machines()?;
    let needles = collect(stage, &machines)?;
    ensure!(
        needles.len() > 50,
        "only {} pieces of secrets were found",
        needles.len()
    );
    // What people may read of a run, said as verbosely as it can be.
    for (file, arguments) in [
        ("plan.txt", &["-v", "-v", "plan"][..]),
        ("plan.json", &["plan", "--output", "json"]),
        ("plan-offline.txt", &["plan", "--offline"]),
        ("plan-offline.json", &["plan", "--offline", "--output", "json"]),
        ("status.json", &["-v", "-v", "status", "--output", "json"]),
        ("apply.txt", &["-v", "-v", "--yes", "apply"]),
    ] {
        let said = stage.kubewright(arguments)?;
        fs::write(stage.directory().join(file), said).with_context(|| format!("keep {file}"))?;
    }
    let patterns = needles.keys().cloned().collect::<Vec<_>>().join("\n") + "\n";
    let found = Stage::on_each(&machines, |machine| stage.script(machine, &script(&patterns)))?;
    for (machine, text) in machines.iter().zip(&found) {
        judge(machine, text, &needles)?;
    }
    search_controller(stage, &needles)?;
    for text in &seen {
        if let Some((_, name)) = needles.iter().find(|(needle, _)| text.contains(*needle)) {
            anyhow::bail!(
                "{name} was in the arguments or the environment of a process: {}",
                shorten(text)
            );
        }
    }
    ensure!(
        seen.len() > 100,
        "only {} processes were seen at work",
        seen.len()
    );
    Ok(needles.len())
}

/// All secrets there are, as the machines hold them.
fn collect(stage: &Stage, machines: &[String]) -> Result<Needles> {
    const READ: &str = r#"
for path in $(find /etc/kubernetes /var/lib/kubelet/pki /var/lib/kubelet/pods -name '*.key' -o -name '*.pem' -o -name encryption.yaml \
    -o -name token 2>/dev/null); do
    [ -f "$path" ] || continue
    printf '\n>>> %s\n' "$path"
    cat "$path"
done
"#;
    let texts = Stage::on_each(machines, |machine| stage.script(machine, READ))?;
    let mut needles = Needles::new();
    let mut kinds = BTreeSet::new();
    for (machine, text) in machines.iter().zip(texts) {
        for part in text.split("\n>>> ").skip(1) {
            let (path, content) = part.split_once('\n').unwrap_or((part, ""));
            needles::add(&mut needles, &format!("{machine}:{path}"), content);
            kinds.insert(Path::new(path).file_name().unwrap_or_default().to_owned());
        }
    }
    for kind in ["ca.key", "sa.key", "encryption.yaml", "apiserver.key", "token"] {
        ensure!(
            kinds.contains(std::ffi::OsStr::new(kind)),
            "no {kind} was found anywhere"
        );
    }
    Ok(needles)
}

/// Plants the canary, searches for it and the needles, prints `place TAB line` for each find, and takes it away again.
fn script(patterns: &str) -> String {
    format!(
        r#"
umask 077
mkdir /run/kubewright-canary
cd /run/kubewright-canary
cat >needles <<'END_OF_NEEDLES'
{CANARY}
{patterns}END_OF_NEEDLES
logger {CANARY}-journal
journalctl --sync
echo {CANARY}-log >/var/log/kubernetes-canary.log
echo {CANARY}-kubewright >/var/lib/kubewright/canary
echo {CANARY}-etc >/etc/kubewright-canary
sh -c 'sleep 30; :' {CANARY}-argument &
CANARY={CANARY}-environment sleep 30 &
sleep 0.1
found() {{ while IFS= read -r line; do printf '%s\t%s\n' "$1" "$line"; done; }}
journalctl --no-pager --all --output=export --boot=all | grep -aoFf needles | sort -u | found journal
# Files that may hold secrets are those the certificates' document names; it has been compared with the machine.
search() {{ place=$1; shift; {{ grep -raoFf needles "$@" || true; }} | sort -u | found "$place"; }}
search log /var/log --exclude-dir=journal
search kubewright /var/lib/kubewright /run/kubewright
search etc /etc /usr/local/lib --exclude-dir=pki --exclude=encryption.yaml
for process in /proc/[0-9]*; do tr '\0' '\n' <$process/cmdline; echo; done 2>/dev/null | grep -aoFf needles | sort -u | found argument
for process in /proc/[0-9]*; do tr '\0' '\n' <$process/environ; echo; done 2>/dev/null | grep -aoFf needles | sort -u | found environment
kill $(jobs -p) 2>/dev/null || true
rm -rf /run/kubewright-canary /var/log/kubernetes-canary.log /var/lib/kubewright/canary /etc/kubewright-canary
"#
    )
}

/// Nothing but the canary may have been found, and that everywhere.
fn judge(machine: &str, text: &str, needles: &Needles) -> Result<()> {
    let mut planted = BTreeSet::new();
    for line in text.lines() {
        let (place, find) = line.split_once('\t').unwrap_or((line, ""));
        if find.contains(CANARY) {
            planted.insert(place);
            continue;
        }
        let name = needles
            .iter()
            .find(|(needle, _)| find.contains(*needle))
            .map(|(_, name)| name.as_str());
        anyhow::bail!(
            "{} is in {place} of {machine}: {}",
            name.unwrap_or("a secret"),
            find.split(':').next().unwrap_or_default()
        );
    }
    for place in PLACES {
        ensure!(
            planted.contains(place),
            "the canary planted in {place} of {machine} was not found: the search does not work\n{text}"
        );
    }
    Ok(())
}

fn search_controller(stage: &Stage, needles: &Needles) -> Result<()> {
    for file in CONTROLLER {
        let path = stage.directory().join(file);
        fs::write(&path, CANARY).with_context(|| format!("write {}", path.display()))?;
    }
    let mut planted = 0;
    let mut logs = 0;
    for path in files(stage.directory())? {
        let bytes = fs::read(&path).with_context(|| format!("read {}", path.display()))?;
        let text = String::from_utf8_lossy(&bytes);
        if let Some((_, name)) = needles.iter().find(|(needle, _)| text.contains(*needle)) {
            anyhow::bail!("{name} is in {}", path.display());
        }
        planted += usize::from(text.contains(CANARY));
        logs += usize::from(path.starts_with(stage.directory().join("state/kubewright")));
    }
    ensure!(
        planted == CONTROLLER.len(),
        "{planted} planted canaries were found: the search does not work"
    );
    ensure!(logs > 3, "only {logs} logs of runs were found");
    for file in CONTROLLER {
        fs::remove_file(stage.directory().join(file))?;
    }
    Ok(())
}

/// All files below a stage's directory but the machines' own.
fn files(directory: &Path) -> Result<Vec<std::path::PathBuf>> {
    let mut found = Vec::new();
    let mut open = vec![directory.to_path_buf()];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(&directory).with_context(|| format!("read {}", directory.display()))? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                if entry.file_name() != "lab" {
                    open.push(entry.path());
                }
            } else if entry.file_name() != "kubeconfig" {
                found.push(entry.path());
            }
        }
    }
    Ok(found)
}

fn shorten(text: &str) -> String {
    text.chars().take(60).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn everywhere() -> String {
        let line = |place: &&str| format!("{place}\t/some/file:{CANARY}\n");
        PLACES.iter().map(line).collect::<Vec<_>>().concat()
    }

    #[test]
    fn only_the_canary_and_the_canary_everywhere_is_good() {
        let needles = Needles::from([("secret-piece".to_owned(), "sa.key".to_owned())]);
        judge("cp-1", &everywhere(), &needles).unwrap();
        let silent = everywhere().replace("environment\t", "argument\t");
        let error = judge("cp-1", &silent, &needles).unwrap_err().to_string();
        assert!(error.contains("environment"), "{error}");
        let leaked = everywhere() + "log\t/var/log/x:secret-piece\n";
        let error = judge("cp-1", &leaked, &needles).unwrap_err().to_string();
        assert_eq!(error, "sa.key is in log of cp-1: /var/log/x");
    }
}
