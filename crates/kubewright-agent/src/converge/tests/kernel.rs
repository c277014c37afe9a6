//! Settings of the kernel that cannot be had.

use super::*;

#[test]
fn optional_kernel_settings_that_cannot_be_had_are_not_asked_for_twice() {
    let mut bench = Bench::new();
    bench.system.put("/proc/sys/net/ipv4/read_only", "0\n");
    bench
        .state
        .extend(Stage::Host, [sysctl("net.ipv4.read_only", "1", true)]);
    bench
        .system
        .simulated()
        .refused
        .extend(["br_netfilter".to_owned(), "net.ipv4.read_only".to_owned()]);
    bench.converge_all().unwrap();
    assert_eq!(bench.inspect(), []);
    bench.system.put("/proc/sys/kernel/osrelease", "6.12\n");
    assert_eq!(
        ids(&bench.inspect()),
        ["module:br_netfilter", "sysctl:net.ipv4.read_only"]
    );
}

#[test]
fn a_needed_kernel_setting_that_cannot_be_had_is_an_error() {
    let mut bench = Bench::new();
    bench
        .system
        .simulated()
        .refused
        .insert("net.ipv4.ip_forward".to_owned());
    let error = bench.converge_all().unwrap_err();
    assert_eq!(
        error.to_string(),
        "set net.ipv4.ip_forward to 1: read-only file system"
    );
}
