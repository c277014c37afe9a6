use super::*;
use crate::testing::{TestSystem, listing};

/// Of a node with two others.
pub(crate) fn example() -> Routing {
    Routing {
        routes: [("10.244.1.0/24", "192.0.2.11"), ("10.244.2.0/24", "192.0.2.12")]
            .map(|(range, via)| (range.to_owned(), via.parse().unwrap()))
            .into(),
        pods: "10.244.0.0/24".to_owned(),
        inside: ["10.244.0.0/16", "192.0.2.10", "192.0.2.11", "192.0.2.12"]
            .map(str::to_owned)
            .to_vec(),
        filter: PacketFilter::Nftables,
    }
}

fn found(system: &TestSystem, wanted: &Routing) -> Option<String> {
    inspect(system, wanted).unwrap().map(|change| match change {
        Change::Value { before, .. } => before,
        other => panic!("{other:?}"),
    })
}

#[test]
fn what_iproute2_prints_is_understood() {
    // iproute2 6.1, on a machine of the lab.
    let printed = r#"[ {"dst":"10.244.1.0/24","gateway":"10.83.0.3","dev":"host0","flags":[ ]},
        {"dst":"10.244.2.0/24","gateway":"10.83.0.4","dev":"host0","protocol":"75","flags":[ "linkdown" ]},
        {"dst":"10.244.3.0/24","dev":"host0","scope":"link","flags":[ ]} ]"#;
    let routes = parse_routes(printed).unwrap();
    assert_eq!(routes["10.244.1.0/24"].to_string(), "10.83.0.3");
    assert_eq!(routes["10.244.3.0/24"].to_string(), "0.0.0.0");
    assert_eq!(routes.len(), 3);
    assert_eq!(parse_routes("\n"), Some(BTreeMap::new()));
    assert_eq!(parse_routes("Object \"route\" is unknown"), None);
}

#[test]
fn a_table_with_another_rule_or_none_is_no_masquerading() {
    let wanted = example();
    let good = listing(&mark(&wanted));
    assert!(has_rule(&good, &mark(&wanted)));
    let mut other = wanted.clone();
    other.inside.push("192.0.2.13".to_owned());
    assert!(!has_rule(&good, &mark(&other)), "of other nodes");
    for (what, with) in [
        ("\"masquerade\"", "\"drop\""),
        ("\"postrouting\", \"prio\"", "\"prerouting\", \"prio\""),
        ("{\"rule\"", "{\"rule\": {}}, {\"rule\""),
        ("{\"rule\"", "{\"no rule\""),
    ] {
        let bad = good.replace(what, with);
        assert_ne!(bad, good, "{what}");
        assert!(!has_rule(&bad, &mark(&wanted)), "{with}");
    }
    assert!(!has_rule("", &mark(&wanted)));
}

#[test]
fn what_is_missing_is_told_and_set_and_what_is_too_much_removed() {
    for filter in [PacketFilter::Nftables, PacketFilter::Iptables] {
        let system = TestSystem::new();
        let mut wanted = example();
        wanted.filter = filter;
        let left = "10.244.7.0/24".to_owned();
        system
            .simulated()
            .routes
            .insert(left.clone(), "192.0.2.17".parse().unwrap());
        assert_eq!(
            found(&system, &wanted).as_deref(),
            Some("0 of 2 routes, 1 too many, no masquerading")
        );
        assert!(change(system.as_ref(), &wanted).unwrap());
        assert_eq!(found(&system, &wanted), None, "{filter:?}");
        assert_eq!(system.simulated().routes, wanted.routes);
        let effects = system.simulated().effects;
        assert!(!change(system.as_ref(), &wanted).unwrap());
        assert_eq!(system.simulated().effects, effects, "nothing was to do");

        // Each thing that goes is seen and comes back.
        system.forget_rules();
        assert_eq!(
            found(&system, &wanted).as_deref(),
            Some("2 of 2 routes, no masquerading")
        );
        assert!(change(system.as_ref(), &wanted).unwrap());
        system
            .simulated()
            .routes
            .insert("10.244.1.0/24".to_owned(), "192.0.2.66".parse().unwrap());
        assert_eq!(
            found(&system, &wanted).as_deref(),
            Some("1 of 2 routes, masquerading")
        );
        assert!(change(system.as_ref(), &wanted).unwrap());
        assert_eq!(found(&system, &wanted), None, "{filter:?}");

        // Another node: another rule and another route.
        wanted
            .routes
            .insert("10.244.3.0/24".to_owned(), "192.0.2.13".parse().unwrap());
        wanted.inside.push("192.0.2.13".to_owned());
        assert!(change(system.as_ref(), &wanted).unwrap());
        assert_eq!(found(&system, &wanted), None, "{filter:?}");
        if filter == PacketFilter::Iptables {
            assert_eq!(
                system.simulated().chain,
                [
                    "-N KUBEWRIGHT-MASQUERADE",
                    "-A KUBEWRIGHT-MASQUERADE -d 10.244.0.0/16 -j RETURN",
                    "-A KUBEWRIGHT-MASQUERADE -d 192.0.2.10/32 -j RETURN",
                    "-A KUBEWRIGHT-MASQUERADE -d 192.0.2.11/32 -j RETURN",
                    "-A KUBEWRIGHT-MASQUERADE -d 192.0.2.12/32 -j RETURN",
                    "-A KUBEWRIGHT-MASQUERADE -d 192.0.2.13/32 -j RETURN",
                    "-A KUBEWRIGHT-MASQUERADE -j MASQUERADE --random-fully",
                ]
            );
        }
    }
}

#[test]
fn a_route_that_cannot_be_set_keeps_nothing_else_from_being_set() {
    let system = TestSystem::new();
    let mut wanted = example();
    wanted
        .routes
        .insert("10.244.0.128/25".to_owned(), "192.0.2.99".parse().unwrap());
    let error = change(system.as_ref(), &wanted).unwrap_err();
    assert!(error.to_string().contains("Network is unreachable"), "{error}");
    assert_eq!(
        found(&system, &wanted).as_deref(),
        Some("2 of 3 routes, masquerading")
    );
}

#[test]
fn the_rules_are_those_of_the_address_family() {
    let mut wanted = example();
    assert!(rules(&wanted).contains(
        "ip saddr 10.244.0.0/24 ip daddr != { 10.244.0.0/16, 192.0.2.10, 192.0.2.11, 192.0.2.12 } masquerade fully-random"
    ));
    wanted.pods = "fd00:1::/64".to_owned();
    wanted.inside = vec!["fd00::/48".to_owned(), "fd00:99::1".to_owned()];
    assert!(rules(&wanted).starts_with("table ip6 kubewright\ndelete table ip6 kubewright\n"));
    assert!(chain(&wanted).any(|line| line.ends_with("-d fd00:99::1/128 -j RETURN")));
    assert!(iptables(&wanted, &["-S"]).line().starts_with("ip6tables "));
}
