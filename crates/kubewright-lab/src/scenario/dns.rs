//! The least of DNS (RFC 1035, section 4): one question for an IPv4 address, and whether the answer has one.

/// The id of every question; each goes over a socket of its own.
const ID: u16 = 0x6b77;

/// Renders a question for the A record of a name.
pub(super) fn question(name: &str) -> Vec<u8> {
    let mut packet = Vec::new();
    packet.extend(ID.to_be_bytes());
    // Recursion desired; one question, no records.
    packet.extend([0x01, 0x00, 0, 1, 0, 0, 0, 0, 0, 0]);
    for label in name.trim_end_matches('.').split('.') {
        packet.push(u8::try_from(label.len()).unwrap_or(0));
        packet.extend(label.as_bytes());
    }
    // End of the name, type A, class IN.
    packet.extend([0, 0, 1, 0, 1]);
    packet
}

/// Whether a packet answers the question without an error and with at least one record.
pub(super) fn is_answer(packet: &[u8]) -> bool {
    let [
        id_high,
        id_low,
        flags_high,
        flags_low,
        _,
        _,
        answers_high,
        answers_low,
        ..,
    ] = packet
    else {
        return false;
    };
    let is_response = flags_high & 0x80 != 0;
    let error = flags_low & 0x0f;
    u16::from_be_bytes([*id_high, *id_low]) == ID
        && is_response
        && error == 0
        && u16::from_be_bytes([*answers_high, *answers_low]) > 0
}

/// What a server says that cannot find out (SERVFAIL).
const SERVER_FAILURE: u8 = 2;

/// Whether a packet refuses the question because the server cannot find out.
pub(super) fn is_failure(packet: &[u8]) -> bool {
    let [id_high, id_low, flags_high, flags_low, ..] = packet else {
        return false;
    };
    u16::from_be_bytes([*id_high, *id_low]) == ID
        && flags_high & 0x80 != 0
        && flags_low & 0x0f == SERVER_FAILURE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_written_label_by_label() {
        let packet = question("a.bc.");
        assert_eq!(&packet[12..], [1, b'a', 2, b'b', b'c', 0, 0, 1, 0, 1]);
    }

    #[test]
    fn only_a_faultless_response_with_records_is_an_answer() {
        let packet =
            |flags: [u8; 2], answers: u8| [0x6b, 0x77, flags[0], flags[1], 0, 1, 0, answers, 0, 0, 0, 0];
        assert!(is_answer(&packet([0x85, 0x80], 1)));
        assert!(!is_answer(&packet([0x85, 0x83], 1)), "name error");
        assert!(!is_answer(&packet([0x85, 0x80], 0)), "no record");
        assert!(!is_answer(&packet([0x01, 0x00], 1)), "the question itself");
        assert!(!is_answer(&[]));
        assert!(is_failure(&packet([0x85, 0x82], 0)));
        assert!(!is_failure(&packet([0x85, 0x80], 1)) && !is_failure(&[]));
    }
}
