//! The head of an answer: its status, and how the end of its body is found.

use super::{HttpError, MAX_HEADERS};

/// How the body's end is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BodyLength {
    Fixed(usize),
    Chunked,
    UntilClose,
}

/// A parsed head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) status: u16,
    pub(super) length: BodyLength,
    pub(super) keeps_alive: bool,
}

impl Head {
    pub(super) fn parse(head: &[u8]) -> Result<Self, HttpError> {
        let text = std::str::from_utf8(head).map_err(|_| HttpError::Malformed("head is not text"))?;
        let mut lines = text.split("\r\n");
        let status_line = lines.next().unwrap_or_default();
        let mut words = status_line.splitn(3, ' ');
        let mut keeps_alive = match words.next() {
            Some("HTTP/1.1") => true,
            Some("HTTP/1.0") => false,
            _ => return Err(HttpError::Malformed("status line")),
        };
        let status = words
            .next()
            .filter(|word| word.len() == 3 && word.bytes().all(|byte| byte.is_ascii_digit()))
            .and_then(|word| word.parse::<u16>().ok())
            .filter(|status| *status >= 200)
            .ok_or(HttpError::Malformed("status"))?;
        let mut fixed = None;
        let mut chunked = false;
        for (count, line) in lines.take_while(|line| !line.is_empty()).enumerate() {
            if count >= MAX_HEADERS {
                return Err(HttpError::TooLarge("headers"));
            }
            let (name, value) = line.split_once(':').ok_or(HttpError::Malformed("header"))?;
            let value = value.trim();
            if name.eq_ignore_ascii_case("content-length") {
                let length = length(value)?;
                if fixed.is_some_and(|earlier| earlier != length) {
                    return Err(HttpError::Malformed("two lengths"));
                }
                fixed = Some(length);
            } else if name.eq_ignore_ascii_case("transfer-encoding") {
                if !value.eq_ignore_ascii_case("chunked") {
                    return Err(HttpError::Malformed("transfer encoding"));
                }
                chunked = true;
            } else if name.eq_ignore_ascii_case("connection") && value.eq_ignore_ascii_case("close") {
                keeps_alive = false;
            }
        }
        let is_bodyless = matches!(status, 204 | 304);
        let length = match (fixed, chunked) {
            _ if is_bodyless => BodyLength::Fixed(0),
            (Some(_), true) => return Err(HttpError::Malformed("both chunked and a length")),
            (None, true) => BodyLength::Chunked,
            (Some(length), false) => BodyLength::Fixed(length),
            (None, false) => BodyLength::UntilClose,
        };
        Ok(Self {
            status,
            length,
            keeps_alive,
        })
    }
}

fn length(value: &str) -> Result<usize, HttpError> {
    if value.is_empty() || !value.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(HttpError::Malformed("length"));
    }
    value.parse().map_err(|_| HttpError::Malformed("length"))
}

/// How long a chunk is, by the line that announces it.
pub(super) fn chunk_length(line: &[u8]) -> Result<usize, HttpError> {
    let digits = line
        .split(|byte| *byte == b';')
        .next()
        .unwrap_or_default()
        .trim_ascii();
    if digits.is_empty() || digits.len() > 8 || !digits.iter().all(u8::is_ascii_hexdigit) {
        return Err(HttpError::Malformed("chunk length"));
    }
    let text = std::str::from_utf8(digits).map_err(|_| HttpError::Malformed("chunk length"))?;
    usize::from_str_radix(text, 16).map_err(|_| HttpError::Malformed("chunk length"))
}
