//! Frames of a connection, from either side.

use kubewright_core::wire::frame::{Decoder, Frame, FrameError, decode_message, encode_data, encode_message};
use kubewright_core::wire::{FromAgent, ToAgent};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The first byte is the size of the portions in which the others arrive.
pub(crate) fn run(input: &[u8]) {
    let Some((portion, bytes)) = input.split_first() else {
        return;
    };
    let at_once = frames(bytes, usize::MAX);
    assert_eq!(
        frames(bytes, usize::from(*portion).max(1)),
        at_once,
        "portions matter"
    );
    for frame in at_once.0 {
        match frame {
            Frame::Message(body) => {
                both_ways::<FromAgent>(&body);
                both_ways::<ToAgent>(&body);
            }
            Frame::Data { stream, bytes } => {
                let again = encode_data(stream, &bytes).expect("what was accepted can be sent");
                assert_eq!(frames(&again, usize::MAX).0, [Frame::Data { stream, bytes }]);
            }
        }
    }
}

/// All whole frames, and what ended them.
fn frames(bytes: &[u8], portion: usize) -> (Vec<Frame>, Option<FrameError>) {
    let mut decoder = Decoder::default();
    let mut frames = Vec::new();
    for part in bytes.chunks(portion) {
        decoder.push(part);
        loop {
            match decoder.next_frame() {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(error) => return (frames, Some(error)),
            }
        }
    }
    (frames, None)
}

/// A message that is understood reads the same after it was sent again.
fn both_ways<T: DeserializeOwned + Serialize + PartialEq + std::fmt::Debug>(body: &[u8]) {
    let Ok(message) = decode_message::<T>(body) else {
        return;
    };
    let frame = encode_message(&message).expect("what was accepted can be sent");
    let (again, end) = frames(&frame, usize::MAX);
    assert_eq!(end, None);
    let [Frame::Message(again)] = again.as_slice() else {
        panic!("one message became {again:?}");
    };
    assert_eq!(decode_message::<T>(again).expect("understood before"), message);
}
