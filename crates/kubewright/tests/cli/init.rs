//! What `kubewright init` writes, and what it says when it cannot.

use super::{World, said};

#[test]
fn every_reason_against_an_inventory_is_a_line_of_its_own() {
    let world = World::new();
    world.write(
        "hosts.ini",
        "[kube_control_plane]\ncp1.example.org\ncp2 ansible_host=192.0.2.12 ansible_port=ssh\n",
    );
    let (code, out, error) = said(&world.run(&["init", "--name", "a", "--from-inventory", "hosts.ini"]));
    assert_eq!((code, out.as_str()), (1, ""));
    insta::assert_snapshot!(error, @r"
    error: hosts.ini: cp1.example.org, cp2 are 2 control planes: an even number survives no more losses than one fewer
      = use 1 or 3: etcd needs more than half of them alive
    error: hosts.ini: host cp1.example.org: `cp1.example.org` is not an address
      = add `ip=ADDRESS` to cp1.example.org: the IPv4 address under which the other nodes reach it
    error: hosts.ini: host cp2: port `ssh` is not a number from 1 to 65535
      = correct `ansible_port`
    error: hosts.ini has 3 errors [inventory-invalid]
      hint: correct what is shown above, or write addresses: kubewright init --control-plane ADDR,ADDR,ADDR --worker ADDR,ADDR
    ");
    let (_, _, error) = said(&world.run(&[
        "init",
        "--name",
        "a",
        "--from-inventory",
        "hosts.ini",
        "-o",
        "json",
    ]));
    let json: serde_json::Value = serde_json::from_str(&error).unwrap();
    assert_eq!(json["findings"].as_array().unwrap().len(), 3);
    assert!(!error.contains(r"\\n"), "{error}");
}

const THREE: &str = "192.0.2.11,192.0.2.12,192.0.2.13";

/// What `plan` says of the file that `init` has written.
fn planned(world: &World) {
    let (code, out, error) = said(&world.run(&["plan", "--offline"]));
    assert_eq!(code, 0, "{error}");
    assert!(out.contains("Plan: "), "{out}");
}

#[test]
fn an_address_in_both_lists_is_one_node_with_both_roles() {
    let world = World::new();
    let (code, _, error) = said(&world.run(&[
        "init",
        "--control-plane",
        THREE,
        "--worker",
        "192.0.2.13,192.0.2.21",
    ]));
    assert_eq!(code, 0, "{error}");
    let text = std::fs::read_to_string(world.path().join("cluster.yaml")).unwrap();
    assert!(
        text.contains("- { name: cp-3, address: 192.0.2.13, roles: [control-plane, worker] }"),
        "{text}"
    );
    assert_eq!(text.matches("- { name: ").count(), 4, "{text}");
    planned(&world);
}

#[test]
fn addresses_inside_the_default_pod_range_get_another_range() {
    let world = World::new();
    let (code, _, error) = said(&world.run(&["init", "--name", "a", "--control-plane", "10.244.0.11"]));
    assert_eq!(code, 0, "{error}");
    assert!(error.contains("note: the pod range is 10.128.0.0/16"), "{error}");
    planned(&world);
}

#[test]
fn what_plan_would_refuse_is_not_written() {
    for (addresses, rule) in [
        ("192.0.2.11,192.0.2.12", "even-control-planes"),
        ("192.0.2.11,192.0.2.11,192.0.2.13", "duplicate-address"),
        ("2001:db8::11", "not-yet"),
    ] {
        let world = World::new();
        let (code, _, error) = said(&world.run(&["init", "--name", "a", "--control-plane", addresses]));
        assert_eq!(code, 1, "{error}");
        assert!(error.contains(&format!("[{rule}]")), "{error}");
        assert!(error.contains("and was not written [file-invalid]"), "{error}");
        assert!(!world.path().join("cluster.yaml").exists());
    }
}

#[test]
fn a_cluster_is_called_after_its_directory_or_inventory() {
    let world = World::new();
    let name_in = |path: &str| {
        let text = std::fs::read_to_string(world.path().join(path)).unwrap();
        let line = text
            .lines()
            .find(|line| line.starts_with("  name: "))
            .unwrap()
            .to_owned();
        line.replace("  name: ", "")
    };
    std::fs::create_dir_all(world.path().join("inventory/blue")).unwrap();
    let (code, _, error) = said(&world.run(&[
        "init",
        "--control-plane",
        THREE,
        "--file",
        "inventory/blue/cluster.yaml",
    ]));
    assert_eq!(code, 0, "{error}");
    assert!(error.contains("the cluster is called blue"), "{error}");
    assert_eq!(name_in("inventory/blue/cluster.yaml"), "blue");
    world.write(
        "inventory/blue/hosts.ini",
        "[kube_control_plane]\na ansible_host=192.0.2.11\n",
    );
    let (code, _, error) =
        said(&world.run(&["init", "--from-inventory", "inventory/blue", "--file", "b.yaml"]));
    assert_eq!(code, 0, "{error}");
    assert_eq!(name_in("b.yaml"), "blue");
    std::fs::create_dir(world.path().join("cluster")).unwrap();
    let (code, _, error) =
        said(&world.run(&["init", "--control-plane", THREE, "--file", "cluster/cluster.yaml"]));
    assert_eq!(code, 1);
    insta::assert_snapshot!(error, @r"
    error: the cluster has no name, and nothing here says one [invalid-request]
      hint: add --name NAME, such as --name prod
    ");
}

#[test]
fn variable_files_beside_an_inventory_are_read() {
    let world = World::new();
    for directory in ["group_vars/all", "host_vars"] {
        std::fs::create_dir_all(world.path().join(directory)).unwrap();
    }
    world.write(
        "prod.ini",
        "[kube_control_plane]\na.example.org ansible_host=192.0.2.11\n",
    );
    world.write("group_vars/all/all.yml", "ansible_user: ubuntu\n");
    world.write("group_vars/all/later.yml", "ansible_user: core\n");
    world.write("host_vars/a.example.org", "ip: 198.51.100.11\n");
    let (code, _, error) = said(&world.run(&["init", "--from-inventory", "prod.ini"]));
    assert_eq!(code, 0, "{error}");
    let text = std::fs::read_to_string(world.path().join("cluster.yaml")).unwrap();
    assert!(text.contains("  ssh: { user: core }\n"), "{text}");
    assert!(text.contains("{ name: a, address: 198.51.100.11,"), "{text}");
    planned(&world);
}
