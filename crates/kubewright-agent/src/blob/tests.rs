//! A blob is what was asked for, or an error.

use super::*;

fn blob(content: &[u8]) -> Blob {
    Blob {
        sha256: Digest::of(content),
        size_bytes: content.len() as u64,
    }
}

#[test]
fn a_program_that_reads_it_sees_an_error_instead_of_a_wrong_end() {
    let right = zstd::encode_all(&b"content"[..], 3).unwrap();
    let mut text = String::new();
    Content::new(&right[..], blob(b"content"))
        .unwrap()
        .read_to_string(&mut text)
        .unwrap();
    assert_eq!(text, "content");
    let wrong = zstd::encode_all(&b"CONTENT"[..], 3).unwrap();
    let read = Content::new(&wrong[..], blob(b"content"))
        .unwrap()
        .read_to_string(&mut String::new());
    assert!(read.is_err());
}

#[test]
fn a_bomb_stops_at_the_size_that_was_asked_for() {
    let bomb = zstd::encode_all(std::io::repeat(0).take(64 << 20), 3).unwrap();
    assert!(bomb.len() < 64 << 10);
    let mut written = Vec::new();
    let error = Content::new(&bomb[..], blob(&[0; 1000]))
        .unwrap()
        .copy_to(&mut written)
        .unwrap_err();
    assert_eq!(error.cause, "more than 1000 bytes arrived");
    assert!(written.len() <= 1000);
}

#[test]
fn an_empty_blob_is_a_blob() {
    let empty = zstd::encode_all(&b""[..], 3).unwrap();
    let mut written = Vec::new();
    Content::new(&empty[..], blob(b""))
        .unwrap()
        .copy_to(&mut written)
        .unwrap();
    assert_eq!(written, b"");
}
