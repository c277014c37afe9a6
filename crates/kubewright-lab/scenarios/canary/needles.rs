//! What to search for: pieces of every secret, in the forms in which a program would leak them.
//!
//! A public key is part of its private key's encoding, so only those pieces are taken that must never be seen.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Text to search for, to the name of the secret it is a piece of.
pub(super) type Needles = BTreeMap<String, String>;

/// The shortest piece worth searching for: 90 bits of a key in base64.
const SHORTEST: usize = 15;

/// Adds the pieces of a secret file's content.
pub(super) fn add(needles: &mut Needles, name: &str, content: &str) {
    let before = needles.len();
    let mut lines = content.lines().map(str::trim).peekable();
    while let Some(line) = lines.next() {
        if line.starts_with("-----BEGIN ") && line.contains("PRIVATE KEY-----") {
            let body: Vec<&str> = lines
                .by_ref()
                .take_while(|line| !line.starts_with("-----END"))
                .collect();
            add_key(needles, name, &body);
        } else if let Some(secret) = line
            .strip_prefix("secret:")
            .or_else(|| line.strip_prefix("- secret:"))
        {
            add_bytes(needles, name, secret.trim().trim_matches('"'));
        }
    }
    if needles.len() == before {
        // A token, or a form this does not know: every long word of it.
        for word in content.split(|char: char| !(char.is_alphanumeric() || "+/=_-".contains(char))) {
            if word.len() > 30 {
                needles.insert(word.to_owned(), name.to_owned());
            }
        }
    }
}

/// The private half of a key's encoding, and of that encoding's encoding.
fn add_key(needles: &mut Needles, name: &str, body: &[&str]) {
    let pieces: Vec<String> = if body.len() > 6 {
        // RSA: modulus and public exponent come first, the private numbers fill the rest.
        body[body.len() / 2..body.len() - 1]
            .iter()
            .map(|line| (*line).to_owned())
            .collect()
    } else {
        // An elliptic key: a fixed head of 36 bytes, 32 bytes of private key, then the public key.
        let Ok(bytes) = STANDARD.decode(body.concat()) else {
            return;
        };
        let Some(private) = private_number(&bytes) else {
            return;
        };
        add_private(needles, name, private);
        let joined = body.concat();
        // The scalar begins within a group of three bytes and ends within one; only whole groups are its own.
        let begin = (private.as_ptr() as usize - bytes.as_ptr() as usize).div_ceil(3) * 4;
        let end = begin + 10 * 4;
        let inside = joined.get(begin..end).unwrap_or_default();
        let mut pieces = Vec::new();
        let mut position = 0;
        for line in body {
            // As it stands in lines, and as it stands without them.
            let (from, to) = (begin.max(position), end.min(position + line.len()));
            if to > from {
                pieces.push(joined[from..to].to_owned());
            }
            position += line.len();
        }
        pieces.push(inside.to_owned());
        pieces
    };
    for piece in pieces.into_iter().filter(|piece| piece.len() >= SHORTEST) {
        needles.insert(piece.clone(), name.to_owned());
        // PEM is often put into base64 once more, whole: then it can begin at any of three positions.
        for skip in 0..3 {
            let twice = STANDARD.encode(&piece.as_bytes()[skip.min(piece.len())..]);
            let whole = twice.len().saturating_sub(4);
            if whole >= SHORTEST {
                needles.insert(twice[..whole].to_owned(), name.to_owned());
            }
        }
    }
}

/// A key given as base64, as it stands and as bytes.
fn add_bytes(needles: &mut Needles, name: &str, text: &str) {
    needles.insert(text.trim_end_matches('=').to_owned(), name.to_owned());
    if let Ok(bytes) = STANDARD.decode(text) {
        add_private(needles, name, &bytes);
    }
}

/// Bytes as hexadecimal digits and as a list of numbers, the way `{:x}` and `{:?}` print them.
fn add_private(needles: &mut Needles, name: &str, bytes: &[u8]) {
    let digits = |byte: &u8| format!("{byte:02x}");
    let hex = bytes.iter().take(16).map(digits).collect::<Vec<_>>().concat();
    needles.insert(hex.to_uppercase(), name.to_owned());
    needles.insert(hex, name.to_owned());
    let numbers: Vec<String> = bytes.iter().take(16).map(u8::to_string).collect();
    needles.insert(numbers.join(", "), name.to_owned());
}

/// The private number of a P-256 key: an OCTET STRING of 32 bytes after version 1, in PKCS#8 as well as in SEC 1.
fn private_number(der: &[u8]) -> Option<&[u8]> {
    let begin = der
        .windows(5)
        .position(|window| window == [0x02, 0x01, 0x01, 0x04, 0x20])?
        + 5;
    der.get(begin..begin + 32)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A P-256 key with private number 00 01 02 … 1f and a public key of ff.
    fn key() -> (String, String) {
        let mut der = vec![0x30, 0x81, 0x87, 0x02, 0x01, 0x00, 0x30, 0x13];
        der.extend([0x06; 19]);
        der.extend([0x04, 0x6d, 0x30, 0x6b, 0x02, 0x01, 0x01, 0x04, 0x20]);
        der.extend(0..32_u8);
        der.extend([0xff; 70]);
        let body = STANDARD.encode(&der);
        let lines: Vec<&str> = [&body[..64], &body[64..128], &body[128..]].to_vec();
        let pem = format!(
            "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n",
            lines.join("\n")
        );
        (pem, body)
    }

    fn found(needles: &Needles, text: &str) -> bool {
        needles.keys().any(|needle| text.contains(needle))
    }

    #[test]
    fn a_key_is_found_in_every_form_and_its_public_half_in_none() {
        let (pem, body) = key();
        let mut needles = Needles::new();
        add(&mut needles, "key", &pem);
        assert!(found(&needles, &pem), "as a file");
        assert!(found(&needles, &pem.replace('\n', "\\n")), "in JSON");
        assert!(found(&needles, &body), "in one line");
        for skip in 0..3 {
            let shifted = format!("{}{pem}", &"xyz"[..skip]);
            assert!(
                found(&needles, &STANDARD.encode(shifted)),
                "twice encoded, moved by {skip}"
            );
        }
        let numbers: Vec<u8> = (0..32).collect();
        assert!(found(&needles, &format!("{numbers:?}")), "as numbers");
        assert!(
            found(&needles, "x000102030405060708090a0b0c0d0e0f10"),
            "as digits"
        );
        assert!(!found(&needles, &body[body.len() - 92..]), "the public half");
    }

    #[test]
    fn the_encryption_key_and_tokens_are_found() {
        let mut needles = Needles::new();
        let secret = STANDARD.encode([7; 32]);
        add(
            &mut needles,
            "encryption",
            &format!("keys:\n- name: key1\n  secret: {secret}\n"),
        );
        assert!(found(&needles, &secret));
        let mut needles = Needles::new();
        let token = "eyJhbGciOiJSUzI1NiIsImtpZCI6IjEyMzQ1Njc4OTAifQ.e30.c2lnbmF0dXJlc2lnbmF0dXJlc2lnbmF0dXJl";
        add(&mut needles, "token", token);
        assert!(found(&needles, &format!("Authorization: Bearer {token}")));
    }
}
