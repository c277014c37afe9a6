//! What a scenario stands on: a lab of its own and the programs it uses.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::{Place, dns};
use crate::cluster_file;
use crate::lab::{Lab, LabName, Role};
use crate::machine::process::Process;
use crate::registry::Registry;
use crate::root_image::remove_tree;
use crate::wait::{Limit, wait_until};
use crate::{tool, ui};

/// The API's own name in the cluster's DNS.
const API_NAME: &str = "kubernetes.default.svc.cluster.local";

/// A lab with a cluster file, and the programs to use on it.
#[derive(Debug)]
pub(crate) struct Stage {
    lab: LabName,
    directory: PathBuf,
    kubewright: PathBuf,
    kubectl: PathBuf,
    cluster_file: cluster_file::Arguments,
    /// The position of the control plane that answered last.
    server: AtomicUsize,
}

/// Removes the labs of earlier runs of a story that were interrupted; kept ones have another name.
pub(crate) fn sweep(story: &str) -> Result<()> {
    for entry in Registry::of_this_computer().entries()? {
        let name = entry.name.to_string();
        let pid = name
            .strip_prefix(story)
            .and_then(|rest| rest.strip_prefix('-')?.parse().ok());
        if pid.is_some_and(|pid| Process::look(pid).is_none()) {
            ui::say(format_args!("lab {name}: its scenario was interrupted"));
            this_program(&entry.name, &entry.directory, &["down"])?;
        }
    }
    Ok(())
}

/// Tells what happens next, does it, and tells how long it took.
pub(crate) fn step<T>(what: &str, action: impl FnOnce() -> Result<T>) -> Result<T> {
    let begin = Instant::now();
    ui::say(format_args!("== {what}"));
    let result = action().with_context(|| what.to_owned())?;
    ui::say(format_args!("== {what}: {:.1} s", begin.elapsed().as_secs_f64()));
    Ok(result)
}

impl Stage {
    /// Prepares a stage for a story; no machine exists yet.
    pub(crate) fn build(arguments: &Place, story: &str) -> Result<Self> {
        let prefix = if arguments.keep { "kept-" } else { "" };
        let lab: LabName = format!("{prefix}{story}-{}", std::process::id()).parse()?;
        let directory = std::path::absolute(&arguments.work_dir)?.join(lab.as_str());
        fs::create_dir_all(&directory).with_context(|| format!("create {}", directory.display()))?;
        let cluster_file = cluster_file::Arguments {
            source_dir: arguments.components.clone(),
            user: arguments.user.clone(),
        };
        let (kubewright, kubectl) = (program(&arguments.kubewright)?, program(&arguments.kubectl)?);
        Ok(Self {
            lab,
            directory,
            kubewright,
            kubectl,
            cluster_file,
            server: AtomicUsize::new(0),
        })
    }

    /// The lab's name.
    pub(crate) fn lab_name(&self) -> &LabName {
        &self.lab
    }

    /// Where all files of the scenario are.
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Brings three control planes and two workers up and writes their cluster file.
    pub(crate) fn up(&self) -> Result<()> {
        self.lab(&["up"])?;
        let text = cluster_file::for_lab(&self.description()?, &self.cluster_file)?;
        fs::write(self.cluster_file(), text).context("write cluster.yaml")
    }

    /// Takes the lab down.
    pub(crate) fn down(&self) -> Result<()> {
        self.lab(&["down"])
    }

    /// Removes the scenario's own files.
    pub(crate) fn remove_files(&self) -> Result<()> {
        remove_tree(&self.directory)
    }

    /// Keeps what the machines wrote to their journals. Best effort: the story has failed already.
    pub(crate) fn collect_journals(&self) {
        let Ok(lab) = self.description() else { return };
        for machine in &lab.machines {
            let name = machine.name.as_str();
            let journal = self
                .lab_command(&["exec", "--nsenter", name, "--", "journalctl", "-b", "--no-pager"])
                .output();
            if let Ok(output) = journal {
                let _ = fs::write(self.directory.join(format!("{name}.journal")), output.stdout);
            }
        }
    }

    /// The names of all machines.
    pub(crate) fn machines(&self) -> Result<Vec<String>> {
        Ok(self
            .description()?
            .machines
            .iter()
            .map(|machine| machine.name.to_string())
            .collect())
    }

    /// Runs a command of the lab on this stage's lab.
    pub(crate) fn lab(&self, arguments: &[&str]) -> Result<()> {
        this_program(&self.lab, &self.lab_directory(), arguments)
    }

    /// Fetches an admin kubeconfig for `kubectl`, again each time: a new cluster has new keys.
    pub(crate) fn fetch_kubeconfig(&self) -> Result<()> {
        let text = self.kubewright_data(&["kubeconfig"])?;
        fs::write(self.kubeconfig(), text).context("write the kubeconfig")
    }

    /// Runs `kubectl` and reads the JSON it prints. Goes to the next control plane when one does not answer, and
    /// stays with the one that did.
    pub(crate) fn kubectl(&self, arguments: &[&str]) -> Result<Value> {
        let lab = self.description()?;
        let servers: Vec<_> = lab
            .machines
            .iter()
            .filter(|machine| machine.role == Role::ControlPlane)
            .collect();
        let first = self.server.load(Ordering::Relaxed);
        let mut result = Err(anyhow::anyhow!("the lab has no control plane"));
        for position in (0..servers.len()).map(|offset| (first + offset) % servers.len()) {
            result = self.kubectl_at(&format!("https://{}:6443", servers[position].address), arguments);
            if result.is_ok() {
                self.server.store(position, Ordering::Relaxed);
                break;
            }
        }
        result
    }

    fn kubectl_at(&self, server: &str, arguments: &[&str]) -> Result<Value> {
        let mut command = tool::command(&self.kubectl.to_string_lossy());
        command
            .arg("--kubeconfig")
            .arg(self.kubeconfig())
            .args(["--server", server]);
        command
            .args(["--request-timeout=5s", "--output=json"])
            .args(arguments);
        let output = command.output().context("start kubectl")?;
        tool::check(&command, &output)?;
        serde_json::from_slice(&output.stdout).context("read what kubectl printed")
    }

    /// The names of the nodes that are Ready.
    pub(crate) fn ready_nodes(&self) -> Result<Vec<String>> {
        Ok(ready_nodes(&self.kubectl(&["get", "nodes"])?))
    }

    /// Refuses anything but every machine being a Ready node.
    pub(crate) fn all_ready(&self) -> Result<()> {
        let (ready, machines) = (self.ready_nodes()?, self.machines()?);
        ensure!(ready == machines, "Ready are {ready:?}, not {machines:?}");
        Ok(())
    }

    /// Runs a program on a machine with some input and returns its output.
    pub(crate) fn on_machine(&self, machine: &str, command: &[&str], input: &[u8]) -> Result<Vec<u8>> {
        let mut child = self
            .lab_command(&[&["exec", machine, "--"], command].concat())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("start this program")?;
        if let Some(mut stdin) = child.stdin.take() {
            // A program that does not read its input may end before it is written.
            let _ = stdin.write_all(input);
        }
        let output = child.wait_with_output()?;
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        ensure!(
            output.status.success(),
            "{machine}: {}: {}: {said}",
            command.join(" "),
            output.status
        );
        Ok(output.stdout)
    }

    /// Waits until each machine's own API proxy answers, on all of them at once.
    pub(crate) fn wait_for_proxies(&self, machines: &[String], limit: Limit) -> Result<()> {
        let wait = |machine: &str| {
            let mut last = String::new();
            wait_until(
                &format!("the API to answer through the proxy of {machine}"),
                limit,
                || {
                    last = self.ask_proxy(machine).unwrap_or_else(|error| error.to_string());
                    Ok(last == "ok")
                },
            )
            .with_context(|| format!("{machine} said {last:?}"))
        };
        Self::on_each(machines, wait).map(drop)
    }

    /// Waits until the cluster's DNS service, asked from a machine, knows the API's own name.
    pub(crate) fn wait_for_dns(&self, machine: &str, limit: Limit) -> Result<()> {
        wait_until(&format!("DNS to answer {machine}"), limit, || {
            // The API may be away again for a moment; that is not yet the end.
            Ok(self
                .ask_dns(machine, API_NAME)
                .is_ok_and(|packet| dns::is_answer(&packet)))
        })
    }

    /// Whether a DNS service at an address, asked from a machine, knows the API's own name.
    pub(crate) fn dns_answers(&self, machine: &str, address: &str) -> Result<bool> {
        let packet = self.ask_dns_at(machine, address, API_NAME)?;
        Ok(dns::is_answer(&packet))
    }

    /// Whether the cluster's DNS, asked from a machine, says of a name that it cannot find out.
    pub(crate) fn dns_refuses(&self, machine: &str, name: &str) -> Result<bool> {
        Ok(dns::is_failure(&self.ask_dns(machine, name)?))
    }

    fn ask_dns(&self, machine: &str, name: &str) -> Result<Vec<u8>> {
        let service = self.kubectl(&["get", "service", "--namespace=kube-system", "kube-dns"])?;
        let address = service["spec"]["clusterIP"]
            .as_str()
            .context("service kube-dns has no address")?;
        self.ask_dns_at(machine, address, name)
    }

    fn ask_dns_at(&self, machine: &str, address: &str, name: &str) -> Result<Vec<u8>> {
        let target = format!("UDP:{address}:53");
        self.on_machine(
            machine,
            &["socat", "-T", "2", "-t", "2", "-", &target],
            &dns::question(name),
        )
    }

    fn ask_proxy(&self, machine: &str) -> Result<String> {
        let curl = [
            "curl",
            "--silent",
            "--insecure",
            "--max-time",
            "2",
            "https://127.0.0.1:7443/readyz",
        ];
        Ok(String::from_utf8_lossy(&self.on_machine(machine, &curl, b"")?).into_owned())
    }

    /// Runs a shell script on a machine, without its network if need be; returns what it printed.
    pub(crate) fn script(&self, machine: &str, text: &str) -> Result<String> {
        let mut child = self
            .lab_command(&["exec", "--nsenter", machine, "--", "sh", "-eus"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("start this program")?;
        if let Some(mut stdin) = child.stdin.take() {
            stdin
                .write_all(text.as_bytes())
                .with_context(|| format!("send a script to {machine}"))?;
        }
        let output = child.wait_with_output()?;
        ensure!(
            output.status.success(),
            "a script on {machine}: {}: {}",
            output.status,
            String::from_utf8_lossy(&output.stderr).trim()
        );
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Does something with each machine, all at once; the first error is the result.
    pub(crate) fn on_each<T: Send>(
        machines: &[String],
        action: impl Fn(&str) -> Result<T> + Sync,
    ) -> Result<Vec<T>> {
        let action = &action;
        thread::scope(|scope| {
            let threads: Vec<_> = machines
                .iter()
                .map(|machine| scope.spawn(move || action(machine).with_context(|| machine.clone())))
                .collect();
            threads
                .into_iter()
                .map(|thread| thread.join().map_err(|_| anyhow::anyhow!("a thread panicked"))?)
                .collect()
        })
    }

    /// The machines' addresses, by name.
    pub(crate) fn addresses(&self) -> Result<BTreeMap<String, Ipv4Addr>> {
        let lab = self.description()?;
        let address = |machine: &crate::lab::MachineRecord| (machine.name.to_string(), machine.address);
        Ok(lab.machines.iter().map(address).collect())
    }

    /// The cluster file.
    pub(crate) fn cluster_file(&self) -> PathBuf {
        self.directory.join("cluster.yaml")
    }

    /// The directory with the components.
    pub(crate) fn components(&self) -> Option<PathBuf> {
        self.cluster_file.source_dir.clone()
    }

    /// The Kubernetes client.
    pub(crate) fn kubectl_program(&self) -> &Path {
        &self.kubectl
    }

    /// The program under test.
    pub(super) fn program(&self) -> &Path {
        &self.kubewright
    }

    pub(crate) fn lab_command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("/proc/self/exe");
        command
            .arg("--lab")
            .arg(self.lab.as_str())
            .arg("--dir")
            .arg(self.lab_directory())
            .args(arguments);
        command.stdin(Stdio::null());
        command
    }

    fn description(&self) -> Result<Lab> {
        Lab::read(&self.lab_directory())?.with_context(|| format!("lab {} is not up", self.lab))
    }

    fn lab_directory(&self) -> PathBuf {
        self.directory.join("lab")
    }

    /// Where the admin kubeconfig is, once fetched.
    pub(crate) fn kubeconfig(&self) -> PathBuf {
        self.directory.join("kubeconfig")
    }
}

/// Runs this very program, whose talk goes where this process's goes.
fn this_program(lab: &LabName, directory: &Path, arguments: &[&str]) -> Result<()> {
    let mut command = Command::new("/proc/self/exe");
    command
        .arg("--lab")
        .arg(lab.as_str())
        .arg("--dir")
        .arg(directory)
        .args(arguments);
    let status = command
        .stdin(Stdio::null())
        .status()
        .context("start this program")?;
    ensure!(
        status.success(),
        "kubewright-lab {}: {status}",
        arguments.join(" ")
    );
    Ok(())
}

/// A program by path stays right when the working directory changes; one by name is searched for.
fn program(path: &Path) -> Result<PathBuf> {
    if path.components().count() == 1 {
        return Ok(path.to_owned());
    }
    let absolute = std::path::absolute(path)?;
    ensure!(
        absolute.is_file(),
        "{} does not exist: build it or name another",
        absolute.display()
    );
    Ok(absolute)
}

/// Reads a list of nodes: the names of those whose condition Ready is True.
fn ready_nodes(list: &Value) -> Vec<String> {
    let nodes = list["items"].as_array().map(Vec::as_slice).unwrap_or_default();
    let is_ready = |node: &&Value| {
        let conditions = node["status"]["conditions"]
            .as_array()
            .map(Vec::as_slice)
            .unwrap_or_default();
        conditions
            .iter()
            .any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
    };
    nodes
        .iter()
        .filter(is_ready)
        .filter_map(|node| Some(node["metadata"]["name"].as_str()?.to_owned()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_nodes_whose_ready_condition_is_true_are_ready() {
        let node = |name: &str, status: &str| {
            serde_json::json!({
                "metadata": {"name": name},
                "status": {"conditions": [{"type": "PIDPressure", "status": "True"}, {"type": "Ready", "status": status}]},
            })
        };
        let list =
            serde_json::json!({"items": [node("a", "True"), node("b", "Unknown"), node("c", "False"), {}]});
        assert_eq!(ready_nodes(&list), ["a"]);
        assert!(ready_nodes(&Value::Null).is_empty());
    }
}
