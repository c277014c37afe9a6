//! Archives as an attacker would make them.

use super::*;

const SMALL: Limits = Limits {
    total_bytes: 1 << 20,
    header_bytes: 8 << 10,
    entries: 20,
};

/// A header as an attacker writes it: the library's own functions refuse some of these names.
fn entry(name: &str, kind: EntryType, link: &str, content: &[u8]) -> Vec<u8> {
    let mut header = tar::Header::new_ustar();
    let old = header.as_old_mut();
    old.name[..name.len()].copy_from_slice(name.as_bytes());
    old.linkname[..link.len()].copy_from_slice(link.as_bytes());
    header.set_entry_type(kind);
    header.set_mode(0o755);
    header.set_size(content.len() as u64);
    header.set_cksum();
    let mut bytes = header.as_bytes().to_vec();
    bytes.extend(content);
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes
}

fn file(name: &str, content: &[u8]) -> Vec<u8> {
    entry(name, EntryType::Regular, "", content)
}

fn unpacked(entries: &[Vec<u8>], wanted: &[&str]) -> Result<BTreeMap<String, Vec<u8>>, String> {
    let mut archive = entries.concat();
    archive.extend([0; 1024]);
    unpacked_bytes(&archive, wanted)
}

fn unpacked_bytes(archive: &[u8], wanted: &[&str]) -> Result<BTreeMap<String, Vec<u8>>, String> {
    let wanted: Vec<String> = wanted.iter().map(|&name| name.to_owned()).collect();
    let whole = |content: &mut dyn Read| {
        let mut bytes = Vec::new();
        content.read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    unpack(archive, "a.tar", &wanted, SMALL, whole).map_err(|error| error.to_string())
}

#[test]
fn takes_only_what_is_wanted() {
    let entries = [
        entry("./", EntryType::Directory, "", b""),
        file("./bridge", b"bridge"),
        file("./vlan", b"vlan"),
        entry("./link", EntryType::Symlink, "bridge", b""),
    ];
    let found = unpacked(&entries, &["bridge"]).unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(found["bridge"], b"bridge");
}

#[test]
fn refuses_paths_that_lead_out() {
    for name in ["../evil", "/etc/passwd", "bin/../../evil"] {
        let error = unpacked(&[file(name, b"x"), file("bin/a", b"a")], &["bin/a"]).unwrap_err();
        assert!(error.contains("leads out of it"), "{error}");
    }
}

#[test]
fn refuses_links_that_lead_out() {
    for (kind, target) in [
        (EntryType::Symlink, "/etc"),
        (EntryType::Symlink, "../../etc"),
        (EntryType::Symlink, "a/../../../etc"),
        (EntryType::Link, "../etc/passwd"),
    ] {
        let error = unpacked(&[entry("bin/link", kind, target, b"")], &[]).unwrap_err();
        assert!(error.contains("a link that leads out"), "{error}");
    }
}

#[test]
fn refuses_a_wanted_file_that_is_a_link() {
    let entries = [entry("bin/a", EntryType::Symlink, "b", b""), file("bin/b", b"b")];
    assert!(
        unpacked(&entries, &["bin/a"])
            .unwrap_err()
            .contains("not a plain file")
    );
}

#[test]
fn refuses_devices_and_pipes() {
    for kind in [EntryType::Block, EntryType::Char, EntryType::Fifo] {
        let error = unpacked(&[entry("dev", kind, "", b"")], &[]).unwrap_err();
        assert!(error.contains("neither a file nor a directory"), "{error}");
    }
}

#[test]
fn refuses_what_grows_beyond_bounds() {
    let bomb = file("bin/a", &vec![0; 2 << 20]);
    let error = unpacked(std::slice::from_ref(&bomb), &["bin/a"]).unwrap_err();
    assert!(error.contains("larger than any real one"), "{error}");
    assert!(unpacked(&[bomb], &[]).is_err());
    let many: Vec<_> = (0..30).map(|number| file(&format!("f{number}"), b"")).collect();
    assert!(unpacked(&many, &[]).unwrap_err().contains("more than 20 entries"));
}

#[test]
fn refuses_ambiguous_and_incomplete_archives() {
    let twice = [file("bin/a", b"1"), file("./bin/a", b"2")];
    assert!(unpacked(&twice, &["bin/a"]).unwrap_err().contains("in it twice"));
    let error = unpacked(&[file("bin/b", b"")], &["bin/a"]).unwrap_err();
    assert_eq!(error, "archive a.tar: bin/a is not in it");
}

#[test]
fn refuses_names_that_would_fill_the_memory() {
    for kind in [EntryType::GNULongName, EntryType::GNULongLink, EntryType::XHeader] {
        let long = entry("././@LongLink", kind, "", &[b'a'; 9 << 10]);
        let error = unpacked(&[long, file("bin/a", b"a")], &["bin/a"]).unwrap_err();
        assert!(
            error.contains("a header is larger than any real one"),
            "{kind:?}: {error}"
        );
    }
}

#[test]
fn large_content_is_no_large_header() {
    let entries = [
        file("bin/other", &[1; 9 << 10]),
        file("bin/a", &[2; 9 << 10]),
        file("bin/last", &[3; 9 << 10]),
    ];
    assert_eq!(unpacked(&entries, &["bin/a"]).unwrap()["bin/a"], [2; 9 << 10]);
}

#[test]
fn refuses_a_file_that_is_cut_off() {
    let whole = file("bin/a", &[1; 700]);
    for length in [512, 512 + 1, 512 + 699] {
        assert!(unpacked_bytes(&whole[..length], &["bin/a"]).is_err(), "{length}");
    }
}

#[test]
fn bytes_of_a_damaged_archive_do_not_reach_the_terminal() {
    let mut damaged = file("bin/a", b"a");
    damaged[148..154].copy_from_slice(b"\x1b[2J\r\n");
    let error = unpacked_bytes(&damaged, &["bin/a"]).unwrap_err();
    assert!(error.contains("when getting cksum"), "{error}");
    assert!(!error.contains(kubewright_core::shown::is_harmful), "{error:?}");
}
