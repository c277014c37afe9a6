use std::io::Read as _;
use std::os::unix::net::UnixStream;

use kubewright_core::wire::frame::{Decoder, Frame, decode_message};

use super::*;

/// No test waits this long.
const NEVER: Duration = Duration::from_secs(3600);

fn pair(every: Duration) -> (Arc<Link>, UnixStream) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    (Arc::new(Link::new(ours, every).unwrap()), theirs)
}

fn hear(socket: &mut UnixStream) -> Vec<FromAgent> {
    let mut bytes = Vec::new();
    socket.read_to_end(&mut bytes).unwrap();
    let mut decoder = Decoder::default();
    decoder.push(&bytes);
    let mut heard = Vec::new();
    while let Some(Frame::Message(body)) = decoder.next_frame().unwrap() {
        heard.push(decode_message(&body).unwrap());
    }
    heard
}

#[test]
fn what_was_said_before_the_end_is_written() {
    let (link, mut socket) = pair(NEVER);
    link.reply(1, Ok(Reply::Done {}));
    link.close_with(&FromAgent::GaveUp { silent_seconds: 15 });
    link.send(&FromAgent::Heartbeat);
    link.drain(NEVER);
    let id = 1;
    let reply = Ok(Reply::Done {});
    assert_eq!(
        hear(&mut socket),
        [
            FromAgent::Reply { id, reply },
            FromAgent::GaveUp { silent_seconds: 15 }
        ]
    );
}

#[test]
fn a_quiet_link_beats() {
    let (_link, mut socket) = pair(Duration::from_millis(1));
    let wanted = encode_message(&FromAgent::Heartbeat).unwrap();
    let mut heard = vec![0; 2 * wanted.len()];
    socket.read_exact(&mut heard).unwrap();
    assert_eq!(heard, wanted.repeat(2));
}

#[test]
fn whoever_waits_for_room_goes_on_when_the_controller_is_given_up() {
    let (link, _nobody_reads) = pair(NEVER);
    let talking = Arc::clone(&link);
    let talker = std::thread::spawn(move || {
        while !talking.is_gone() {
            talking.data(1, &vec![0; 256 << 10]).unwrap();
        }
    });
    while link.0.queue().bytes < CAPACITY {
        std::thread::yield_now();
    }
    link.close();
    talker.join().unwrap();
}

#[test]
fn an_end_that_hung_up_has_gone() {
    let (link, socket) = pair(NEVER);
    drop(socket);
    link.send(&FromAgent::Heartbeat);
    link.drain(NEVER);
    assert!(link.is_gone());
}
