//! What is mounted on the node, as the kernel lists it.

use crate::system::System;

/// One mount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// Where it is mounted.
    pub point: String,
    /// The kind of file system, as in `ext4`.
    pub kind: String,
}

/// Reads the node's mounts, in the order they were made.
pub fn read(system: &dyn System) -> Vec<Mount> {
    parse(&system.text("/proc/self/mountinfo").unwrap_or_default())
}

/// Understands `/proc/self/mountinfo` (proc(5)): the fifth field is the mount point, the kind follows the lone dash.
pub fn parse(text: &str) -> Vec<Mount> {
    text.lines()
        .filter_map(|line| {
            let point = unescape(line.split(' ').nth(4)?);
            let kind = line.split(" - ").nth(1)?.split(' ').next()?.to_owned();
            Some(Mount { point, kind })
        })
        .collect()
}

/// The mount point a path lives on.
pub fn mount_of<'m>(mounts: &'m [Mount], path: &str) -> &'m str {
    mounts
        .iter()
        .map(|mount| mount.point.as_str())
        .filter(|point| is_at_or_below(path, point))
        .max_by_key(|point| point.len())
        .unwrap_or("/")
}

/// Whether a path is a directory itself or something below it.
pub fn is_at_or_below(path: &str, directory: &str) -> bool {
    let directory = directory.trim_end_matches('/');
    path.strip_prefix(directory)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Space, tab, newline and backslash are written as three octal digits.
fn unescape(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\\') {
        plain.push_str(before);
        let code = after
            .get(..3)
            .and_then(|digits| u8::from_str_radix(digits, 8).ok());
        if let Some(code) = code {
            plain.push(char::from(code));
            rest = &after[3..];
        } else {
            plain.push('\\');
            rest = after;
        }
    }
    plain.push_str(rest);
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "21 1 254:0 / / rw - ext4 /dev/vda rw\n\
        30 21 0:5 / /var/lib/kubelet/pods/a\\040b rw shared:1 master:2 - tmpfs tmpfs rw\n";

    #[test]
    fn reads_mount_points_with_blanks_in_them() {
        let points: Vec<_> = parse(TEXT).into_iter().map(|mount| mount.point).collect();
        assert_eq!(points, ["/", "/var/lib/kubelet/pods/a b"]);
    }

    #[test]
    fn finds_the_mount_a_path_lives_on() {
        let mounts = parse(TEXT);
        assert_eq!(
            mount_of(&mounts, "/var/lib/kubelet/pods/a b/c"),
            "/var/lib/kubelet/pods/a b"
        );
        assert_eq!(mount_of(&mounts, "/var/lib/kubelet/pods/a bc"), "/");
    }
}
