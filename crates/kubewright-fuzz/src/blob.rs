//! Content a node receives by its digest, compressed.

use std::io::Read as _;

use kubewright_agent::blob::Content;
use kubewright_core::resource::{Blob, Digest};

/// Bytes of content the fuzzer may ask for.
const MOST: u64 = 1 << 20;

/// The first three bytes are how much content is wanted; the last is what it repeats; the others are the stream.
pub(crate) fn run(input: &[u8]) {
    let Some((&[high, middle, low], rest)) = input.split_first_chunk() else {
        return;
    };
    let Some((&letter, stream)) = rest.split_last() else {
        return;
    };
    let size_bytes = u64::from(u32::from_be_bytes([0, high, middle, low])).min(MOST);
    let expected = vec![letter; size_bytes as usize];
    let wanted = Blob {
        sha256: Digest::of(&expected),
        size_bytes,
    };
    let Ok(content) = Content::new(stream, wanted) else {
        return;
    };
    let mut written = Vec::new();
    let is_right = content.copy_to(&mut written).is_ok();
    assert!(
        written.len() as u64 <= size_bytes,
        "more was written than was wanted"
    );
    if is_right {
        assert_eq!(written, expected, "other content passed");
    }

    // The other way of reading the same says the same.
    let Ok(mut content) = Content::new(stream, wanted) else {
        return;
    };
    let mut read = Vec::new();
    assert_eq!(content.read_to_end(&mut read).is_ok(), is_right);
}
