//! Archives of other projects.

use std::cell::Cell;
use std::io::{self, Read};

use flate2::read::MultiGzDecoder;
use kubewright_control::artifact::archive::{Limits, unpack};

use crate::shown::assert_one_harmless_line;

const LIMITS: Limits = Limits {
    total_bytes: 1 << 20,
    header_bytes: 8 << 10,
    entries: 20,
};
/// Bytes of text a refusal may be.
const REFUSAL_BYTES: usize = 64 << 10;
const WANTED: [&str; 2] = ["bin/a", "b"];

/// An even first byte is followed by a tar archive, an odd one by a compressed one.
pub(crate) fn run(input: &[u8]) {
    let Some((kind, bytes)) = input.split_first() else {
        return;
    };
    if kind % 2 == 0 {
        take_out(bytes, bytes);
    } else {
        take_out(MultiGzDecoder::new(bytes), MultiGzDecoder::new(bytes));
    }
}

/// The second reader yields the same as the first.
fn take_out(archive: impl Read, again: impl Read) {
    let kept_bytes = Cell::new(0);
    let keep = |content: &mut dyn Read| {
        kept_bytes.set(kept_bytes.get() + io::copy(content, &mut io::sink())?);
        Ok(())
    };
    let wanted = WANTED.map(str::to_owned);
    let outcome = unpack(archive, "a.tar", &wanted, LIMITS, keep);
    assert!(
        kept_bytes.get() <= LIMITS.total_bytes,
        "more was kept than may be"
    );
    match outcome {
        Ok(found) => {
            assert!(found.keys().eq(["b", "bin/a"]), "not what was wanted");
            assert_tame(again);
        }
        Err(error) => assert_one_harmless_line(&error.to_string(), REFUSAL_BYTES),
    }
}

/// What was accepted could be given to a careless program.
fn assert_tame(archive: impl Read) {
    let mut archive = tar::Archive::new(archive);
    for entry in archive.entries().expect("it was read before") {
        let entry = entry.expect("it was read before");
        let path = entry.path().expect("it was read before").into_owned();
        assert!(path.is_relative(), "{} is absolute", path.display());
        assert!(
            !path
                .components()
                .any(|part| part == std::path::Component::ParentDir),
            "{} leads out",
            path.display()
        );
        let kind = entry.header().entry_type();
        let is_tame = kind.is_file() || kind.is_dir() || kind.is_symlink() || kind.is_hard_link();
        assert!(
            is_tame || kind.is_pax_global_extensions(),
            "{kind:?} was accepted"
        );
        let link = entry.link_name().expect("it was read before");
        assert!(
            !link.is_some_and(|target| target.is_absolute()),
            "a link leads out"
        );
    }
}
