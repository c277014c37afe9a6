//! Mounts of this computer that belong to a lab: found in the kernel's table, never remembered.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rustix::io::Errno;
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

use crate::wait::{Limit, wait_until};

/// All mount points at or below a directory, deepest first.
pub(crate) fn below(directory: &Path) -> Result<Vec<PathBuf>> {
    let text = fs::read_to_string("/proc/self/mountinfo").context("read the mounts of this computer")?;
    Ok(parse_below(&text, directory))
}

/// Lab directories hold no character that the table would escape, so paths can be compared as they stand.
fn parse_below(mountinfo: &str, directory: &Path) -> Vec<PathBuf> {
    let points = mountinfo
        .lines()
        .filter_map(|line| line.split(' ').nth(4))
        .map(PathBuf::from);
    let mut found: Vec<PathBuf> = points.filter(|point| point.starts_with(directory)).collect();
    found.reverse();
    found.sort_by_key(|point| std::cmp::Reverse(point.components().count()));
    found
}

/// Mounts an overlay of `upper` on `lower` at `target`.
pub(crate) fn mount_overlay(lower: &Path, upper: &Path, work: &Path, target: &Path) -> Result<()> {
    let options = format!(
        "lowerdir={},upperdir={},workdir={}",
        lower.display(),
        upper.display(),
        work.display()
    );
    let options = std::ffi::CString::new(options)?;
    mount(
        "overlay",
        target,
        "overlay",
        MountFlags::empty(),
        Some(options.as_c_str()),
    )
    .with_context(|| format!("mount an overlay on {}", target.display()))
}

/// Unmounts everything at or below a directory. What is still busy after a while is detached.
pub(crate) fn unmount_below(directory: &Path) -> Result<()> {
    for point in below(directory)? {
        let free = || match unmount(&point, UnmountFlags::empty()) {
            Ok(()) | Err(Errno::INVAL | Errno::NOENT) => Ok(true),
            Err(Errno::BUSY) => Ok(false),
            Err(error) => Err(error).with_context(|| format!("unmount {}", point.display())),
        };
        if wait_until(
            &format!("{} to become free", point.display()),
            Limit::Seconds(3),
            free,
        )
        .is_err()
        {
            unmount(&point, UnmountFlags::DETACH).with_context(|| format!("unmount {}", point.display()))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_only_mounts_inside_and_the_deepest_first() {
        let text = "1 0 8:1 / / rw - ext4 /dev/a rw\n\
                    2 1 0:30 / /lab/m/a/root rw - overlay overlay rw\n\
                    3 2 0:31 / /lab/m/a/root/run rw - tmpfs tmpfs rw\n\
                    4 1 0:32 / /lab/many rw - tmpfs tmpfs rw\n";
        let found = parse_below(text, Path::new("/lab/m"));
        assert_eq!(
            found,
            [PathBuf::from("/lab/m/a/root/run"), PathBuf::from("/lab/m/a/root")]
        );
    }
}
