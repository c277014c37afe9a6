//! Where binaries come from: built here, or downloaded from upstream where upstream can be reached.

use clap::ValueEnum;

use super::download::Fetcher;

/// What was asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Wanted {
    /// What is complete in the cache already; else download where upstream answers, else build.
    #[default]
    Auto,
    /// Build everything from Go modules.
    Build,
    /// Download from upstream; what upstream publishes only as images is built.
    Download,
}

/// What it came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// Built from Go modules.
    Build,
    /// Downloaded from upstream.
    Download,
}

impl Source {
    /// The word used in manifests and directory names.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Build => "build",
            Self::Download => "download",
        }
    }
}

impl Wanted {
    /// Returns the sources that satisfy the wish, the preferred one first.
    pub(crate) fn acceptable(self) -> &'static [Source] {
        match self {
            Self::Auto => &[Source::Build, Source::Download],
            Self::Build => &[Source::Build],
            Self::Download => &[Source::Download],
        }
    }

    /// Decides; only `auto` asks the network, once and for a few seconds, and says what it found.
    pub(crate) fn decide(self, fetcher: &Fetcher, probe_url: &str, report: &dyn Fn(&str)) -> Source {
        match self {
            Self::Build => Source::Build,
            Self::Download => Source::Download,
            Self::Auto if fetcher.can_reach(probe_url) => {
                report(&format!("downloading components, because {probe_url} answers"));
                Source::Download
            }
            Self::Auto => {
                report(&format!(
                    "building components, because {probe_url} does not answer"
                ));
                Source::Build
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decide(wanted: Wanted, url: &str) -> (Source, String) {
        let said = std::cell::RefCell::new(String::new());
        let fetcher = Fetcher {
            protocols: "=http",
            ..Fetcher::default()
        };
        let source = wanted.decide(&fetcher, url, &|line| *said.borrow_mut() += line);
        (source, said.into_inner())
    }

    #[test]
    fn builds_and_says_why_where_upstream_does_not_answer() {
        // Nothing listens on a port that was just given back.
        let free = std::net::TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap();
        let url = format!("http://{free}/");
        let said = format!("building components, because {url} does not answer");
        assert_eq!(decide(Wanted::Auto, &url), (Source::Build, said));
    }

    #[test]
    fn downloads_and_says_why_where_upstream_answers() {
        let server = crate::component::download::tests::serve(&[("/there", b"x")]);
        let (source, said) = decide(Wanted::Auto, &server.url("/there"));
        assert_eq!(source, Source::Download);
        assert!(said.ends_with("/there answers"), "{said}");
        assert_eq!(decide(Wanted::Auto, &server.url("/missing")).0, Source::Build);
    }

    #[test]
    fn asks_nobody_when_told_what_to_do() {
        let nowhere = "http://[not an address]/";
        assert_eq!(decide(Wanted::Build, nowhere), (Source::Build, String::new()));
        assert_eq!(
            decide(Wanted::Download, nowhere),
            (Source::Download, String::new())
        );
    }
}
