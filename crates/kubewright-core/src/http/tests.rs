//! Answers as servers send them, and as they should not.

use super::*;

/// Reads an answer that arrives in pieces of so many bytes, after which the connection ends.
fn read_in(pieces: usize, answer: &[u8], limit: usize) -> (Result<Response, HttpError>, bool) {
    let mut reader = ResponseReader::new(limit);
    let mut read = || -> Result<(), HttpError> {
        for piece in answer.chunks(pieces) {
            reader.feed(piece)?;
        }
        reader.end()
    };
    let outcome = read();
    let is_reusable = reader.is_reusable();
    (outcome.map(|()| reader.into_response().unwrap()), is_reusable)
}

/// The same whatever the pieces are.
fn ask(answer: &[u8], limit: usize) -> (Result<Response, HttpError>, bool) {
    let whole = read_in(answer.len().max(1), answer, limit);
    for pieces in 1..4 {
        assert_eq!(
            read_in(pieces, answer, limit),
            whole,
            "{answer:?} in pieces of {pieces}"
        );
    }
    whole
}

#[test]
fn reads_a_body_of_known_length_and_keeps_the_connection() {
    let (response, is_reusable) = ask(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", 16);
    let response = response.unwrap();
    assert_eq!(
        (response.status, response.body.as_slice()),
        (200, b"ok".as_slice())
    );
    assert!(is_reusable);
}

#[test]
fn reads_chunks_and_their_trailer() {
    let answer = b"HTTP/1.1 500 no\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\nA\r\n0123456789\r\n0\r\nT: 1\r\n\r\n";
    let (response, is_reusable) = ask(answer, 64);
    let response = response.unwrap();
    assert_eq!(
        (response.status, response.body.as_slice()),
        (500, b"abc0123456789".as_slice())
    );
    assert!(is_reusable);
}

#[test]
fn reads_to_the_end_when_there_is_no_length() {
    let (response, is_reusable) = ask(b"HTTP/1.0 200 OK\r\n\r\nhello", 16);
    assert_eq!(response.unwrap().body, b"hello");
    assert!(!is_reusable);
}

#[test]
fn does_not_reuse_a_connection_the_server_closes_or_talks_on() {
    let (_, is_reusable) = ask(
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
        16,
    );
    assert!(!is_reusable);
    let (_, is_reusable) = ask(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nHTTP/1.1 200 OK", 16);
    assert!(!is_reusable);
}

#[test]
fn refuses_bodies_beyond_the_limit() {
    for answer in [
        &b"HTTP/1.1 200 OK\r\nContent-Length: 17\r\n\r\n"[..],
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffff\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n8\r\n01234567\r\n9\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n01234567890123456789",
    ] {
        assert!(
            matches!(ask(answer, 16).0, Err(HttpError::TooLarge("body"))),
            "{answer:?}"
        );
    }
}

#[test]
fn refuses_a_head_without_end() {
    let mut answer = b"HTTP/1.1 200 OK\r\n".to_vec();
    answer.extend(std::iter::repeat_n(b"X-Filler: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n", 2000).flatten());
    assert!(matches!(ask(&answer, 16).0, Err(HttpError::TooLarge("head"))));
}

#[test]
fn refuses_what_is_not_http() {
    for answer in [
        &b"SSH-2.0-OpenSSH_9.2p1\r\n\r\n"[..],
        b"HTTP/2 200\r\n\r\n",
        b"HTTP/1.1 20 OK\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\nx",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nxyz",
        b"HTTP/1.1 200 \xff\xfe\r\n\r\n",
    ] {
        assert!(
            matches!(ask(answer, 16).0, Err(HttpError::Malformed(_))),
            "{answer:?}"
        );
    }
}

#[test]
fn an_answer_cut_short_is_an_error() {
    for answer in [
        &b""[..],
        b"HTTP/1.1 200",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab",
    ] {
        assert!(
            matches!(ask(answer, 16).0, Err(HttpError::CutShort)),
            "{answer:?}"
        );
    }
}

#[test]
fn survives_mutated_answers() {
    let seed =
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n4\r\nabcd\r\n0\r\n\r\n";
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    for _ in 0..2000 {
        let mut answer = seed.to_vec();
        for _ in 0..4 {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            let at = random as usize % answer.len();
            match random >> 62 {
                0 => answer[at] = (random >> 20) as u8,
                1 if answer.len() > 1 => drop(answer.remove(at)),
                2 => answer.insert(at, (random >> 20) as u8),
                _ => answer.truncate(at.max(1)),
            }
        }
        if let Ok(response) = ask(&answer, 16).0 {
            assert!(response.body.len() <= 16);
        }
    }
}
