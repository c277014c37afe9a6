use super::*;
use crate::spec::parse;
use insta::assert_snapshot;
use proptest::prelude::*;

fn converted(text: &str) -> Starter {
    from_inventory(text, &"prod".parse().unwrap()).unwrap_or_else(|error| panic!("{error}"))
}

fn nodes(starter: &Starter) -> String {
    let text = starter.render();
    let parsed = parse(&text, "cluster.yaml").unwrap_or_else(|errors| panic!("{errors}\n{text}"));
    let mut lines: Vec<String> = starter.notes.iter().map(|note| format!("note: {note}")).collect();
    lines.push(
        text.lines()
            .find(|line| line.trim_start().starts_with("ssh:"))
            .unwrap()
            .trim()
            .to_owned(),
    );
    lines.extend(
        text.lines()
            .filter(|line| line.trim_start().starts_with("- {"))
            .map(|line| line.trim().to_owned()),
    );
    assert_eq!(parsed.spec.nodes.len(), starter.nodes.len());
    lines.join("\n")
}

fn refused(text: &str) -> String {
    from_inventory(text, &"prod".parse().unwrap())
        .unwrap_err()
        .to_string()
}

#[test]
fn kubespray_ini_with_children_and_variables() {
    let text = "\
# ## Configure 'ip' variable to bind kubernetes services
[all]
node1 ansible_host=95.54.0.12  ip=10.3.0.1 etcd_member_name=etcd1
node2 ansible_host=10.3.0.2
node3 ansible_host=10.3.0.3 ansible_user=admin # the odd one
node4 ansible_host=10.3.0.4
gate ansible_host=95.54.0.1

[all:vars]
ansible_user=ubuntu
kube_network_plugin='calico'

[bastion]
gate

[kube_control_plane]
node[1:3]

[etcd:children]
kube_control_plane

[kube_node]
node3
node4

[k8s_cluster:children]
kube_control_plane
kube_node
";
    assert_snapshot!(nodes(&converted(text)), @r"
    note: node1: ssh will go to 10.3.0.1, the inventory had 95.54.0.12; if that is needed, write a Host entry for 10.3.0.1 in your ssh_config.
    note: host gate is in no group that kubewright knows and was left out.
    note: `kube_network_plugin: calico` was not carried over; see `spec.network.cni`.
    note: the group `bastion` was not carried over; write its host as `ssh: { jump: … }`.
    ssh: { user: ubuntu, port: 22 }
    - { name: node1, address: 10.3.0.1, roles: [control-plane] }
    - { name: node2, address: 10.3.0.2, roles: [control-plane] }
    - { name: node3, address: 10.3.0.3, roles: [control-plane, worker], user: admin }
    - { name: node4, address: 10.3.0.4, roles: [worker] }
    ");
}

#[test]
fn kubespray_yaml() {
    let text = "\
all:
  vars: { ansible_port: 2222 }
  hosts:
    node1: { ansible_host: 10.0.0.1, ip: 10.0.0.1, access_ip: 10.0.0.1 }
    node2: { ansible_host: 10.0.0.2 }
    node3: { ansible_host: 10.0.0.3 }
  children:
    kube-master: { hosts: { node1: , node2: , node3: } }
    kube-node: { hosts: { node3: } }
    etcd: { hosts: { node1: , node2: , node3: } }
    k8s-cluster: { children: { kube-master: , kube-node: } }
    calico_rr: { hosts: {} }
";
    assert_snapshot!(nodes(&converted(text)), @r"
    ssh: { user: root, port: 2222 }
    - { name: node1, address: 10.0.0.1, roles: [control-plane] }
    - { name: node2, address: 10.0.0.2, roles: [control-plane] }
    - { name: node3, address: 10.0.0.3, roles: [control-plane, worker] }
    ");
}

#[test]
fn dabealu_groups_with_bare_addresses() {
    let text = "\
[k8s_masters]
192.168.88.11
192.168.88.12
192.168.88.13

[k8s_workers]
192.168.88.13
Worker_1.example.org:2200 ansible_host=192.168.88.21
";
    assert_snapshot!(nodes(&converted(text)), @r"
    note: host 192.168.88.11 is called cp-192-168-88-11 here.
    note: host 192.168.88.12 is called cp-192-168-88-12 here.
    note: host 192.168.88.13 is called cp-192-168-88-13 here.
    note: host Worker_1.example.org is called worker-1 here.
    ssh: { user: root, port: 22 }
    - { name: cp-192-168-88-11, address: 192.168.88.11, roles: [control-plane] }
    - { name: cp-192-168-88-12, address: 192.168.88.12, roles: [control-plane] }
    - { name: cp-192-168-88-13, address: 192.168.88.13, roles: [control-plane, worker] }
    - { name: worker-1, address: 192.168.88.21, roles: [worker], port: 2200 }
    ");
}

#[test]
fn every_reason_against_an_inventory_is_given_at_once() {
    let text = "\
[kube_control_plane]
cp1.example.org
cp1.example.net ansible_host=10.0.0.2
cp_1 ansible_host=10.0.0.3 ansible_port=ssh
[etcd]
db1 ansible_host=10.0.0.9
";
    assert_snapshot!(refused(text), @r"
    host db1 is in group `etcd` but no control plane: separate etcd nodes are not yet supported
      = put it into `kube_control_plane`, or take it out of `etcd` and move its data first
    host cp1.example.org: `cp1.example.org` is not an address
      = add `ip=ADDRESS` to cp1.example.org: the address under which the other nodes reach it
    host cp_1: port `ssh` is not a number from 1 to 65535
      = correct `ansible_port`
    ");
    assert_snapshot!(refused("[web]\na\n[db]\nb\n"), @r"
    the group of control planes is not in the inventory; its groups are: db, web
      = name the group `kube_control_plane` (kubespray) or `k8s_masters`; workers are `kube_node` or `k8s_workers`
    ");
    assert_snapshot!(refused("[kube_control_plane:hostvars]\na\n"), @r"
    line 1: `[kube_control_plane:hostvars]` is no kind of section
      = use [group], [group:children] or [group:vars]
    ");
    assert_snapshot!(refused("all:\n  hosts:\n    a: b\n"), @r"
    line 3: `a` must be a map, not text
      = write `name:` on lines of their own, with a colon after each
    ");
    assert_snapshot!(refused("all:\n  hosts: [a]\n   x: 1\n"), @r"
    line 3: this line does not fit the lines above it
      = give it the same indentation as its neighbours; a key needs `: ` after it, a list item `- ` before it
    ");
    assert_snapshot!(refused("# nothing\n"), @r"
    the inventory is empty
      = check that this is the file you meant
    ");
}

#[test]
fn groups_that_contain_each_other_end() {
    let text =
        "[kube_control_plane:children]\na\n[a:children]\nkube_control_plane\n[a]\nn ansible_host=10.0.0.1\n";
    assert_eq!(converted(text).nodes.len(), 1);
}

#[test]
fn hostile_chains_of_groups_are_bounded() {
    let text: String = (0..20_000).fold(String::new(), |text, n| {
        text + &format!("[g{n}:children]\ng{}\n", n + 1)
    });
    assert!(refused(&text).contains("more than 1000 groups"));
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in any::<String>()) {
        let _ = from_inventory(&text, &"prod".parse().unwrap());
    }

    #[test]
    fn no_inventory_like_text_makes_it_panic(text in r"(\[(all|etcd|kube_node|kube_control_plane|k8s_masters)(:vars|:children)?\]\n|[a-z0-9\[\]:=' .]{0,20}\n){0,12}") {
        if let Ok(starter) = from_inventory(&text, &"prod".parse().unwrap()) {
            let _ = parse(&starter.render(), "cluster.yaml");
        }
    }
}
