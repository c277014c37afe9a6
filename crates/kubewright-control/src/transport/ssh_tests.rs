//! A script plays `ssh`: it runs the command line it is given on this computer, as a login shell would.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use kubewright_core::catalogue::Platform;
use kubewright_core::resource::Digest;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::super::Agent;
use super::*;

const AGENT: &str = "#!/bin/sh\necho \"$1 says $(head -c 5)\"\n";
const RUN: &str = "for last in \"$@\"; do :; done\n$SHELL_UNDER_TEST -c \"$last\"\n";

struct Fake {
    directory: TempDir,
}

impl Fake {
    /// An `ssh` with the given body; `id` says root and `sudo` runs what it is told.
    fn new(body: &str) -> Self {
        let fake = Self {
            directory: tempfile::tempdir().unwrap(),
        };
        let path = fake.path("bin");
        fs::create_dir(&path).unwrap();
        fake.program(
            "ssh",
            &format!("PATH={path}:$PATH; export PATH\nSHELL_UNDER_TEST=/bin/sh\n{body}"),
        );
        fake.program("bin/id", "echo 0\n");
        fake.program("bin/sudo", "shift 2; exec \"$@\"\n");
        fake
    }

    fn path(&self, name: &str) -> String {
        self.directory.path().join(name).display().to_string()
    }

    fn program(&self, name: &str, body: &str) {
        let path = self.path(name);
        fs::write(&path, format!("#!/bin/sh\n{body}")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn transport(&self, agents: Agents) -> Ssh {
        Ssh::new(settings(), agents)
            .with_program(self.path("ssh").into())
            .with_state_directory(&self.path("state"))
    }

    fn agents_on_node(&self) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(self.path("state/agent"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

fn settings() -> SshSettings {
    SshSettings {
        node: "cp-1".parse().unwrap(),
        address: "192.0.2.11".to_owned(),
        user: None,
        port: None,
        identity_file: None,
        known_hosts: None,
        jump: None,
        sudo: None,
        host_key: None,
    }
}

fn agents(executable: &str) -> Agents {
    let agent = Agent::pack(executable.as_bytes()).unwrap();
    Agents::default()
        .with(Platform::Amd64, agent.clone())
        .with(Platform::Arm64, agent)
}

async fn greet(ssh: &Ssh) -> String {
    let mut channel = ssh.connect().await.unwrap();
    channel.writer.write_all(b"hello").await.unwrap();
    channel.writer.shutdown().await.unwrap();
    let mut said = String::new();
    channel.reader.read_to_string(&mut said).await.unwrap();
    said
}

async fn failure(ssh: &Ssh) -> Failure {
    ssh.connect().await.unwrap_err().failure
}

#[tokio::test]
async fn brings_the_agent_once_and_runs_it() {
    let fake = Fake::new(RUN);
    assert_eq!(greet(&fake.transport(agents(AGENT))).await, "serve says hello\n");
    let digest = Digest::of(AGENT.as_bytes());
    assert_eq!(fake.agents_on_node(), [digest.to_string()]);
    let mode = fs::metadata(fake.path("state/agent"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o700);

    let unsendable = Agent {
        gzip: b"not gzip".as_slice().into(),
        sha256: digest,
        size_bytes: 0,
    };
    let again = Agents::default()
        .with(Platform::Amd64, unsendable.clone())
        .with(Platform::Arm64, unsendable);
    assert_eq!(greet(&fake.transport(again)).await, "serve says hello\n");
}

#[tokio::test]
async fn copes_with_start_files_that_print_and_with_other_login_shells() {
    for shell in [
        "/bin/sh",
        "/bin/bash",
        "/bin/dash",
        "/usr/bin/fish",
        "/bin/tcsh",
        "/bin/busybox sh",
    ] {
        if !Path::new(shell.split(' ').next().unwrap()).exists() {
            continue;
        }
        let body = format!(
            "SHELL_UNDER_TEST='{shell}'\necho \"Welcome $*\"\necho grumble >&2\numask 000\nprintf 'no newline'\n{RUN}"
        );
        let fake = Fake::new(&body);
        assert_eq!(
            greet(&fake.transport(agents(AGENT))).await,
            "serve says hello\n",
            "{shell}"
        );
        let path = format!("state/agent/{}", Digest::of(AGENT.as_bytes()));
        let mode = fs::metadata(fake.path(&path)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
    }
}

#[tokio::test]
async fn replaces_an_agent_that_lies_damaged_on_the_node() {
    let fake = Fake::new(RUN);
    greet(&fake.transport(agents(AGENT))).await;
    let path = fake.path(&format!("state/agent/{}", Digest::of(AGENT.as_bytes())));
    fs::write(&path, "").unwrap();
    assert_eq!(greet(&fake.transport(agents(AGENT))).await, "serve says hello\n");
}

#[tokio::test]
async fn keeps_three_agents() {
    let fake = Fake::new(RUN);
    for version in 0..5 {
        greet(&fake.transport(agents(&format!("{AGENT}# {version}\n")))).await;
        // The next one is newer also where times have a resolution of a second.
        for name in fake.agents_on_node() {
            let file = fs::File::open(fake.path(&format!("state/agent/{name}"))).unwrap();
            let earlier = file.metadata().unwrap().modified().unwrap() - Duration::from_secs(10);
            file.set_modified(earlier).unwrap();
        }
    }
    let newest = Digest::of(format!("{AGENT}# 4\n").as_bytes()).to_string();
    let left = fake.agents_on_node();
    assert_eq!(left.len(), 3);
    assert!(left.contains(&newest));
}

#[tokio::test]
async fn runs_no_agent_that_arrives_damaged() {
    let fake = Fake::new(RUN);
    let mut wrong = Agent::pack(AGENT.as_bytes()).unwrap();
    wrong.sha256 = Digest::of(b"another");
    let agents = Agents::default()
        .with(Platform::Amd64, wrong.clone())
        .with(Platform::Arm64, wrong);
    assert_eq!(failure(&fake.transport(agents)).await, Failure::Damaged);
    assert!(fake.agents_on_node().is_empty());
}

#[tokio::test]
async fn refuses_a_processor_without_agent() {
    let fake = Fake::new(RUN);
    let failure = failure(&fake.transport(Agents::default())).await;
    assert!(matches!(failure, Failure::Architecture { .. }), "{failure}");
}

#[tokio::test]
async fn refuses_a_state_directory_it_cannot_write() {
    let fake = Fake::new(RUN);
    fs::write(fake.path("state"), "a file").unwrap();
    let failure = failure(&fake.transport(agents(AGENT))).await;
    assert!(matches!(failure, Failure::Directory { .. }), "{failure}");
}

#[tokio::test]
async fn becomes_root_with_sudo_and_explains_when_it_cannot() {
    let fake = Fake::new(RUN);
    fake.program("bin/id", "echo 1000\n");
    assert_eq!(greet(&fake.transport(agents(AGENT))).await, "serve says hello\n");
    fake.program("bin/sudo", "echo 'sudo: a password is required' >&2; exit 1\n");
    assert_eq!(
        failure(&fake.transport(agents(AGENT))).await,
        Failure::SudoPassword
    );
    let mut ssh = fake.transport(agents(AGENT));
    ssh.settings.sudo = Some(false);
    assert_eq!(failure(&ssh).await, Failure::NotRoot);
}

#[tokio::test]
async fn tells_what_sudo_wants() {
    let fake = Fake::new(RUN);
    fake.program("bin/id", "echo 1000\n");
    let lecture =
        "echo 'We trust you have received the usual lecture from the local System Administrator.' >&2\n";
    fake.program("bin/sudo", &format!("{lecture}shift 2; exec \"$@\"\n"));
    assert_eq!(greet(&fake.transport(agents(AGENT))).await, "serve says hello\n");
    for (says, expected) in [
        ("sudo: a password is required", Failure::SudoPassword),
        (
            "sudo: interactive authentication is required",
            Failure::SudoPassword,
        ),
        (
            "sudo: sorry, you must have a tty to run sudo",
            Failure::SudoTerminal,
        ),
        (
            "Sorry, user ada is not allowed to execute /bin/sh as root on w-1.",
            Failure::SudoRefused,
        ),
    ] {
        fake.program("bin/sudo", &format!("{lecture}echo '{says}' >&2; exit 1\n"));
        // Half a banner is in the way, and a start file that prints.
        let noisy = Fake::new(&format!(
            "PATH={}:$PATH\necho 'Who is not in the sudoers is not allowed to log in.' >&2\necho Welcome\n{RUN}",
            fake.path("bin")
        ));
        assert_eq!(failure(&noisy.transport(agents(AGENT))).await, expected, "{says}");
    }
}

#[tokio::test]
async fn tells_that_the_login_runs_something_else() {
    for (body, says) in [
        (
            "echo 'Please login as the user \"debian\" rather than the user \"root\".'\nexit 142\n",
            "Please login as the user \"debian\" rather than the user \"root\".",
        ),
        (
            "echo 'This account is currently not available.'\nexit 1\n",
            "This account is currently not available.",
        ),
        (
            "echo 'rbash: line 1: exec: restricted' >&2\nexit 126\n",
            "rbash: line 1: exec: restricted",
        ),
        ("exit 0\n", "nothing (exit status 0)"),
    ] {
        let said = says.to_owned();
        let failure = failure(&Fake::new(body).transport(agents(AGENT))).await;
        assert_eq!(failure, Failure::OtherProgram { said });
    }
    let forced = Fake::new(
        "for SSH_ORIGINAL_COMMAND in \"$@\"; do :; done\nexport SSH_ORIGINAL_COMMAND\n\
         logger() { :; }; logger session; exec /bin/sh -c \"$SSH_ORIGINAL_COMMAND\"\n",
    );
    assert_eq!(
        greet(&forced.transport(agents(AGENT))).await,
        "serve says hello\n"
    );
}

#[tokio::test]
async fn needs_no_temporary_directory_and_one_session() {
    let once = "if [ -e \"$0.used\" ]; then echo 'channel 0: open failed: administratively prohibited: open failed' >&2; \
                exit 255; fi; : > \"$0.used\"\n";
    let fake = Fake::new(&format!("{once}TMPDIR=/nowhere; export TMPDIR\numask 077\n{RUN}"));
    assert_eq!(greet(&fake.transport(agents(AGENT))).await, "serve says hello\n");
}

#[tokio::test]
async fn tells_why_ssh_gave_up() {
    let fake = Fake::new("echo 'root@192.0.2.11: Permission denied (publickey).' >&2; exit 255\n");
    let error = fake.transport(agents(AGENT)).connect().await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "reach node cp-1 at 192.0.2.11: login refused (publickey)"
    );
}

#[tokio::test]
async fn says_so_when_there_is_no_ssh() {
    let ssh = Ssh::new(settings(), Agents::default()).with_program("/nowhere/ssh".into());
    assert!(matches!(failure(&ssh).await, Failure::Start { .. }));
}

#[test]
fn passes_only_what_is_set() {
    let arguments = settings().arguments(Path::new("/t/config"), None).join(" ");
    assert_eq!(arguments, "-F /t/config -T -o RemoteCommand=none -- 192.0.2.11");
    let full = SshSettings {
        user: Some("ada".to_owned()),
        port: Some(2222),
        identity_file: Some("/home/ada/my key".to_owned()),
        known_hosts: Some("/home/ada/hosts%".to_owned()),
        jump: Some("gate.example".to_owned()),
        ..settings()
    };
    let arguments = full.arguments(Path::new("/t/config"), None).join(" ");
    assert_eq!(
        arguments,
        "-F /t/config -T -o RemoteCommand=none -J gate.example -p 2222 -l ada -- 192.0.2.11"
    );
    let configuration = full.configuration();
    let own = "  UserKnownHostsFile \"/home/ada/hosts%%\"\n  IdentityFile \"/home/ada/my key\"\n  IdentitiesOnly yes\n";
    let (strict, operators) = configuration.split_once(own).unwrap();
    assert!(strict.contains("StrictHostKeyChecking yes"));
    assert!(operators.starts_with("Include ~/.ssh/config"));
}

#[test]
fn accepts_only_the_pinned_key() {
    let pinned = SshSettings {
        host_key: Some("ssh-ed25519 AAAAC3Nz comment".to_owned()),
        known_hosts: Some("/ignored".to_owned()),
        ..settings()
    };
    let ssh = Ssh::new(pinned, Agents::default());
    let (_files, _, pins) = ssh.prepare().unwrap();
    let pins = pins.unwrap();
    assert_eq!(
        fs::read_to_string(&pins).unwrap(),
        "kubewright-cp-1 ssh-ed25519 AAAAC3Nz\n"
    );
    assert_eq!(fs::metadata(&pins).unwrap().permissions().mode() & 0o777, 0o600);
    let arguments = ssh
        .settings
        .arguments(Path::new("/t/config"), Some(&pins))
        .join(" ");
    assert!(arguments.contains("HostKeyAlias=kubewright-cp-1"));
    assert!(arguments.contains("GlobalKnownHostsFile=/dev/null"));
    assert!(!arguments.contains("/ignored"));
}

#[test]
fn refuses_a_path_that_would_smuggle_in_another_option() {
    let mut settings = settings();
    settings.identity_file = Some("/k\"\nProxyCommand evil".to_owned());
    assert!(matches!(
        Ssh::new(settings, Agents::default()).prepare(),
        Err(Failure::Setting {
            key: "ssh.identityFile",
            ..
        })
    ));
}

#[test]
fn refuses_a_pin_that_would_smuggle_in_another_line() {
    for key in ["ssh-ed25519", "@cert-authority AAAA", "ssh-ed25519 \"AAAA\""] {
        let mut pinned = settings();
        pinned.host_key = Some(key.to_owned());
        assert!(
            matches!(pinned.pin(), Err(Failure::Setting { key: "hostKey", .. })),
            "{key}"
        );
    }
}
