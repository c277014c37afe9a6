//! The image the smoke test's pods run, and how it is asked to do what a check needs.
//!
//! Two are known: the lab's own `probe`, and upstream's `agnhost`, which Kubernetes' conformance tests use and every
//! cluster with access to the registry can pull.

use std::collections::BTreeSet;
use std::net::IpAddr;

/// The port the pods serve on.
pub(super) const PORT: u16 = 8080;

/// An image with a web server, a web client and a name lookup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbeImage {
    /// What is pulled, as in `kubewright.lab/probe:1`.
    pub reference: String,
    program: Program,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Program {
    Probe,
    Agnhost,
}

impl ProbeImage {
    /// Upstream's image.
    pub fn upstream() -> Self {
        Self::of("registry.k8s.io/e2e-test-images/agnhost:2.53")
    }

    /// Takes an image by its reference: one whose name is `agnhost` is asked as agnhost, any other as probe.
    pub fn of(reference: &str) -> Self {
        let last = reference.rsplit('/').next().unwrap_or(reference);
        let name = last.split(['@', ':']).next().unwrap_or(last);
        Self {
            reference: reference.to_owned(),
            program: if name == "agnhost" {
                Program::Agnhost
            } else {
                Program::Probe
            },
        }
    }

    /// Arguments of the image's own command that make it serve.
    pub(super) fn serve(&self) -> Vec<String> {
        match self.program {
            Program::Probe => vec!["serve".to_owned(), PORT.to_string()],
            Program::Agnhost => vec!["netexec".to_owned(), format!("--http-port={PORT}")],
        }
    }

    /// The path at which it answers with its pod's name.
    pub(super) fn name_path(&self) -> &'static str {
        match self.program {
            Program::Probe => "/",
            Program::Agnhost => "/hostname",
        }
    }

    /// A command that fetches its peer's name from `authority` (an address, with a port if it is not 80).
    pub(super) fn get_name(&self, authority: &str) -> Vec<String> {
        let url = format!("http://{authority}{}", self.name_path());
        let words: &[&str] = match self.program {
            Program::Probe => &["/probe", "get", &url, "3s"],
            Program::Agnhost => &[
                "curl",
                "--silent",
                "--show-error",
                "--fail",
                "--noproxy",
                "*",
                "--max-time",
                "3",
                &url,
            ],
        };
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    /// A command that looks a name up by way of the search path.
    pub(super) fn lookup(&self, name: &str) -> Vec<String> {
        let words: &[&str] = match self.program {
            Program::Probe => &["/probe", "lookup", name, "3s"],
            Program::Agnhost => &["dig", "+search", "+short", "+time=1", "+tries=3", name],
        };
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    /// Reads the addresses a lookup printed; other lines (an alias, a remark) are passed over.
    pub(super) fn addresses(output: &str) -> BTreeSet<IpAddr> {
        output
            .lines()
            .filter_map(|line| line.trim().parse().ok())
            .collect()
    }

    /// What either program's log says once it serves.
    pub(super) fn log_line() -> String {
        format!("on port {PORT}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_follows_from_the_images_name() {
        for reference in [
            "registry.k8s.io/e2e-test-images/agnhost:2.53",
            "mirror.example:5000/agnhost@sha256:00",
        ] {
            assert_eq!(ProbeImage::of(reference).name_path(), "/hostname", "{reference}");
        }
        for reference in ["kubewright.lab/probe:1", "agnhost.example/probe"] {
            assert_eq!(ProbeImage::of(reference).name_path(), "/", "{reference}");
        }
    }

    #[test]
    fn each_program_gets_its_own_words() {
        let probe = ProbeImage::of("kubewright.lab/probe:1");
        assert_eq!(probe.serve(), ["serve", "8080"]);
        assert_eq!(
            probe.get_name("10.0.0.1"),
            ["/probe", "get", "http://10.0.0.1/", "3s"]
        );
        assert_eq!(probe.lookup("probe"), ["/probe", "lookup", "probe", "3s"]);
        let agnhost = ProbeImage::upstream();
        assert_eq!(agnhost.serve(), ["netexec", "--http-port=8080"]);
        assert_eq!(
            agnhost.get_name("10.0.0.1:8080").last().unwrap(),
            "http://10.0.0.1:8080/hostname"
        );
    }

    #[test]
    fn addresses_are_read_whatever_else_is_printed() {
        let output = "probe.ns.svc.cluster.local.\n10.244.0.2\n10.244.1.2\n;; remark\n";
        let addresses = ProbeImage::addresses(output);
        assert_eq!(addresses.len(), 2);
        assert!(addresses.contains(&"10.244.1.2".parse().unwrap()));
    }
}
