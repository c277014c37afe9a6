//! Ranges of addresses that do not fit each other or the nodes.

use insta::assert_snapshot;

use super::{said, with};
use crate::spec::parse;

#[test]
fn overlapping_ranges_are_refused() {
    assert_snapshot!(said(&with("10.96.0.0/16", "10.244.128.0/17")), @r"
    error: cluster.yaml:9:18: service range 10.244.128.0/17 overlaps pod range 10.244.0.0/16 [range-overlap]
     9 |     serviceCidr: 10.244.128.0/17
       |                  ^^^^^^^^^^^^^^^
       = choose ranges that share no address, such as `10.244.0.0/16` and `10.96.0.0/16`

    1 error in cluster.yaml
    ");
}

#[test]
fn a_pod_range_too_small_for_the_nodes_says_how_large_it_must_be() {
    assert_snapshot!(said(&with("10.244.0.0/16", "10.244.0.0/23")), @r"
    error: cluster.yaml:8:14: pod range 10.244.0.0/23 has room for 2 nodes of a /24 each, the file has 4 [range-too-small]
     8 |     podCidr: 10.244.0.0/23
       |              ^^^^^^^^^^^^^
       = use at least a /22; a /16 leaves room to grow to 256 nodes

    1 error in cluster.yaml
    ");
}

#[test]
fn a_service_range_too_small_is_refused() {
    assert_snapshot!(said(&with("10.96.0.0/16", "10.96.0.0/28")), @r"
    error: cluster.yaml:9:18: service range 10.96.0.0/28 has 16 addresses, at least 256 are needed [range-too-small]
     9 |     serviceCidr: 10.96.0.0/28
       |                  ^^^^^^^^^^^^
       = use a /16, such as `10.96.0.0/16`

    1 error in cluster.yaml
    ");
}

#[test]
fn a_node_inside_a_range_is_refused() {
    assert_snapshot!(said(&with("192.0.2.21", "10.96.7.1")), @r"
    error: cluster.yaml:14:29: address 10.96.7.1 of node w-1 lies in the service range 10.96.0.0/16 [address-in-range]
     14 |     - { name: w-1, address: 10.96.7.1, roles: [worker] }
        |                             ^^^^^^^^^
        = choose a `spec.network.serviceCidr` that no node's address and no address it talks to lies in

    1 error in cluster.yaml
    ");
}

#[test]
fn more_pods_than_a_nodes_range_has_addresses_are_refused() {
    let text = with(
        "  network:",
        "  components: { kubelet: { extraConfig: { maxPods: 254 } } }\n  network:",
    );
    let said = said(&text);
    assert!(
        said.contains("a node's /24 has addresses for 253 pods, not for 254 [range-too-small]"),
        "{said}"
    );
    let text = text.replace("254", "253");
    assert!(parse(&text, "cluster.yaml").is_ok());
}

#[test]
fn an_endpoint_on_a_node_is_told_with_what_it_means() {
    let warning = |address: &str| {
        let endpoint = format!("  controlPlane: {{ endpoint: {address} }}\n  network:");
        let parsed = parse(&with("  network:", &endpoint), "cluster.yaml").unwrap();
        parsed
            .warnings
            .iter()
            .map(|warning| warning.message.clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        warning("192.0.2.21"),
        ["the endpoint is the address of node w-1, which is no control plane and serves no API"]
    );
    assert_eq!(warning("192.0.2.11"), ["the endpoint is node cp-1's own address"]);
    assert_eq!(warning("192.0.2.99"), Vec::<String>::new());
}
