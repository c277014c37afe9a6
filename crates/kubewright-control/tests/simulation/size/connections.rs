//! The connections from a controller that is a process of its own to the machines of this one.
//!
//! A program that the controller takes for `ssh` copies bytes between its pipes and two named pipes of the node it is to
//! reach, at whose other ends an agent of the simulated world serves.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::thread::JoinHandle;

use super::super::agent;
use super::super::world::World;
use super::controller::API;
use super::still::Present;

/// Says that the agent runs, as the script that OpenSSH would be given does, and copies.
const SSH: &str = r#"#!/bin/sh
while [ "$1" != -- ]; do shift; done
way=WAYS/$2
set -- ${3##*"' kubewright "}
echo "$1-$2 ready"
cat < "$way.from-agent" &
exec cat > "$way.to-agent"
"#;

/// Named pipes to every machine of a world, and the agents that wait there.
pub(super) struct Connections {
    directory: tempfile::TempDir,
    agents: Vec<JoinHandle<()>>,
}

impl Connections {
    pub(super) fn to(world: &Arc<World>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        fs::write(path.join("ssh"), SSH.replace("WAYS", &path.display().to_string())).unwrap();
        fs::set_permissions(path.join("ssh"), fs::Permissions::from_mode(0o755)).unwrap();
        fs::write(path.join(API), serde_json::to_vec(&Present::of(world)).unwrap()).unwrap();
        let agents = world.cluster.nodes.iter().map(|node| {
            let pipe = |end: &str| path.join(format!("{}.{end}", node.address));
            let (input, output) = (pipe("to-agent"), pipe("from-agent"));
            let made = Command::new("mkfifo").args([&input, &output]).status().unwrap();
            assert!(made.success());
            let (world, name) = (Arc::clone(world), node.name.to_string());
            std::thread::Builder::new()
                .stack_size(1 << 20)
                .spawn(move || serve(&world, &name, &input, &output))
                .unwrap()
        });
        let agents = agents.collect();
        Self { directory, agents }
    }

    pub(super) fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Waits until every agent has left. All of them must have been reached.
    pub(super) fn end(self) {
        for agent in self.agents {
            agent.join().unwrap();
        }
    }
}

fn serve(world: &Arc<World>, node: &str, input: &PathBuf, output: &PathBuf) {
    // Each waits for the other end.
    let input = Active(File::open(input).unwrap(), Arc::clone(world));
    let output = Active(
        OpenOptions::new().write(true).open(output).unwrap(),
        Arc::clone(world),
    );
    let system = agent::machine(world, node);
    if let Err(error) = kubewright_agent::serve::serve(&system, input, output) {
        let violation = format!("{node}: the agent says: {error}");
        world.state().violations.push(violation);
    }
}

/// Time does not leap while something is said.
struct Active(File, Arc<World>);

impl Read for Active {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.0.read(buffer)?;
        self.1.touch();
        Ok(count)
    }
}

impl Write for Active {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.1.touch();
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
