//! The other programs an agent runs on its machine.

use std::fs;

use kubewright_agent::system::Output;

use super::machine::Machine;
use super::systemd::{failed, said};

/// Runs a program; nothing when the machine does not have it.
pub(crate) fn run(machine: &mut Machine, program: &str, arguments: &[String]) -> Option<Output> {
    let last = arguments.last().map_or("", String::as_str);
    let output = match program {
        "useradd" | "groupadd" | "usermod" | "userdel" => account(machine, program, arguments, last),
        "modprobe" => {
            let module = format!("/sys/module/{}", last.replace('-', "_"));
            fs::create_dir_all(machine.path(&module)).ok()?;
            said("")
        }
        "swapoff" => {
            machine.put("/proc/swaps", "Filename Type Size Used Priority\n");
            said("")
        }
        "ctr" if arguments.iter().any(|argument| argument == "rm") => {
            machine.images.remove(last);
            said("")
        }
        "ctr" => {
            let rows = machine.images.iter().map(|(reference, digest)| {
                format!("{reference} oci sha256:{digest} 1.0 MiB linux/amd64 -\n")
            });
            said(format!(
                "REF TYPE DIGEST SIZE PLATFORMS LABELS\n{}",
                rows.collect::<String>()
            ))
        }
        "journalctl" => said("it says nothing\n"),
        "ip" | "nft" => said("{}"),
        "iptables-save" | "ip6tables-save" => said(""),
        "timedatectl" => said("yes\n"),
        "kill" | "umount" => failed("nothing to do it to"),
        _ => return None,
    };
    Some(output)
}

fn account(machine: &Machine, program: &str, arguments: &[String], name: &str) -> Output {
    let root = machine.get("/etc/passwd");
    let fields: Vec<&str> = root.lines().next().unwrap_or_default().split(':').collect();
    let (uid, gid) = (fields[2], fields[3]);
    let option = |wanted: &str| {
        let at = arguments.iter().position(|argument| argument == wanted)?;
        arguments.get(at + 1).map(String::as_str)
    };
    match program {
        "useradd" => {
            let home = option("--home-dir").unwrap_or_default();
            machine.add_line(
                "/etc/passwd",
                &format!("{name}:x:{uid}:{gid}::{home}:/usr/sbin/nologin"),
            );
            if option("--gid").is_none() {
                machine.add_line("/etc/group", &format!("{name}:x:{gid}:"));
            }
        }
        "groupadd" => machine.add_line("/etc/group", &format!("{name}:x:{gid}:")),
        "userdel" => {
            for table in ["/etc/passwd", "/etc/group"] {
                let text = machine.get(table);
                let lines = text.lines().filter(|line| !line.starts_with(&format!("{name}:")));
                machine.put(table, &lines.fold(String::new(), |kept, line| kept + line + "\n"));
            }
        }
        _ => return failed(format!("{program} is not simulated")),
    }
    said("")
}
