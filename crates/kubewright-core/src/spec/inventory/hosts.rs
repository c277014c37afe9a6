//! What stands where an inventory names hosts: a name or address, a range of them, and a port.

use super::model::MOST_HOSTS;
use crate::value::{ValueError, shorten};
use std::net::IpAddr;

/// Returns the hosts of `node[01:03].example:2222` and their port.
pub(super) fn hosts(pattern: &str) -> Result<(Vec<String>, Option<String>), ValueError> {
    let (names, port) = split_port(pattern);
    let hosts = expand(names).ok_or_else(|| {
        ValueError::new(
            format!("`{}` is not a range of hosts", shorten(names)),
            "write it as `node[1:3]`",
        )
    })?;
    Ok((hosts, port.map(str::to_owned)))
}

/// Splits a port from what it belongs to: an IPv6 address has brackets around it when it has a port.
fn split_port(pattern: &str) -> (&str, Option<&str>) {
    let bare = |text| match bracketed(text) {
        Some(address) => address,
        None => text,
    };
    if let Some((before, port)) = pattern.rsplit_once(':') {
        let is_port = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
        let is_whole = !outside_brackets(before).contains(':')
            && before.matches('[').count() == before.matches(']').count();
        if is_port && is_whole && !before.is_empty() {
            return (bare(before), Some(port));
        }
    }
    (bare(pattern), None)
}

/// Returns the IPv6 address in brackets.
fn bracketed(text: &str) -> Option<&str> {
    let address = text.strip_prefix('[')?.strip_suffix(']')?;
    address.parse::<IpAddr>().ok().map(|_| address)
}

fn outside_brackets(text: &str) -> String {
    let mut depth = 0_usize;
    text.chars()
        .filter(|character| {
            match character {
                '[' => depth += 1,
                ']' => depth = depth.saturating_sub(1),
                _ => return depth == 0,
            }
            false
        })
        .collect()
}

/// Expands `node[01:03].example` into its hosts. `None` when the range is not one, or is too long.
fn expand(pattern: &str) -> Option<Vec<String>> {
    let Some((before, rest)) = pattern.split_once('[') else {
        return Some(vec![pattern.to_owned()]);
    };
    let (range, after) = rest.split_once(']')?;
    let (first, rest) = range.split_once(':')?;
    let (last, step) = match rest.split_once(':') {
        Some((last, step)) => (last, step.parse::<usize>().ok().filter(|step| *step > 0)?),
        None => (rest, 1),
    };
    let middles: Vec<String> = if let (Ok(from), Ok(to)) = (first.parse::<usize>(), last.parse::<usize>()) {
        if from > to || to - from >= MOST_HOSTS {
            return None;
        }
        let width = if first.starts_with('0') {
            first.len().min(10)
        } else {
            0
        };
        (from..=to)
            .step_by(step)
            .map(|number| format!("{number:0width$}"))
            .collect()
    } else {
        let letter = |text: &str| {
            text.bytes()
                .next()
                .filter(|b| text.len() == 1 && b.is_ascii_alphabetic())
        };
        let (from, to) = (letter(first)?, letter(last)?);
        (from..=to)
            .step_by(step)
            .map(|byte| char::from(byte).to_string())
            .collect()
    };
    let tails = expand(after)?;
    if middles.len().saturating_mul(tails.len()) > MOST_HOSTS {
        return None;
    }
    Some(
        middles
            .iter()
            .flat_map(|middle| tails.iter().map(move |tail| format!("{before}{middle}{tail}")))
            .collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_expand_with_their_zeros_and_steps() {
        assert_eq!(expand("n[08:10].x").unwrap(), ["n08.x", "n09.x", "n10.x"]);
        assert_eq!(expand("n[02:06:2]").unwrap(), ["n02", "n04", "n06"]);
        assert_eq!(expand("n[a:c]").unwrap(), ["na", "nb", "nc"]);
        assert_eq!(expand("n").unwrap(), ["n"]);
        for bad in [
            "n[1:9999999]",
            "n[3:1",
            "n[1-3]",
            "n[1:3:0]",
            "[0:999][0:999][0:999]",
        ] {
            assert_eq!(expand(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_port_is_told_from_an_address_and_a_range() {
        for (pattern, names, port) in [
            ("a:22", "a", Some("22")),
            ("n[1:3]", "n[1:3]", None),
            ("n[1:3]:22", "n[1:3]", Some("22")),
            ("2001:db8::1", "2001:db8::1", None),
            ("[2001:db8::1]:22", "2001:db8::1", Some("22")),
            ("[2001:db8::1]", "2001:db8::1", None),
        ] {
            assert_eq!(split_port(pattern), (names, port), "{pattern}");
        }
    }
}
