use super::*;
use crate::spec::parse;
use insta::assert_snapshot;
use proptest::prelude::*;

fn files(text: &str) -> InventoryFiles {
    InventoryFiles {
        text: text.to_owned(),
        ..InventoryFiles::default()
    }
}

fn of_files(files: &InventoryFiles) -> Starter {
    from_inventory(files, &"prod".parse().unwrap()).unwrap_or_else(|error| panic!("{error}"))
}

fn converted(text: &str) -> Starter {
    of_files(&files(text))
}

/// The notes, and the lines of the file that are not the same in every file.
fn nodes(starter: &Starter) -> String {
    let text = starter.render();
    let parsed = parse(&text, "cluster.yaml").unwrap_or_else(|errors| panic!("{errors}\n{text}"));
    assert_eq!(parsed.spec.nodes.len(), starter.nodes.len());
    let is_own = |line: &&str| {
        ["ssh:", "podCidr:", "serviceCidr:", "domain:", "proxy:", "- {"]
            .iter()
            .any(|start| line.starts_with(start))
            && !line.contains("10.244.0.0/16")
            && !line.contains("10.96.0.0/16")
    };
    let notes = starter.notes.iter().map(|note| format!("note: {note}"));
    let lines = text.lines().map(str::trim).filter(is_own).map(|line| {
        let line = line.split(" # ").next().unwrap_or_default();
        line.trim_end().to_owned()
    });
    notes.chain(lines).collect::<Vec<_>>().join("\n")
}

fn refused(text: &str) -> String {
    from_inventory(&files(text), &"prod".parse().unwrap())
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

/// What `ansible-inventory --list` (ansible-core 2.19) printed of a file, beside the file.
macro_rules! recorded {
    ($($name:literal, $listing:literal;)+) => {
        [$((
            $name,
            include_str!(concat!("fixtures/", $name)),
            include_str!(concat!("fixtures/", $listing, ".json")),
        )),+]
    };
}

#[test]
fn reads_what_ansible_itself_reads() {
    for (name, own, listing) in recorded! {
        "both-roles.ini", "both-roles";
        "current.ini", "current";
        "kubeasz.ini", "kubeasz";
        "precedence.ini", "precedence";
        "ranges.ini", "ranges-ini";
        "ranges.yaml", "ranges-yaml";
        "settings.ini", "settings";
        "template.ini", "template";
        "two-masters.yaml", "two-masters";
        "two-networks.yaml", "two-networks";
        "vault.yaml", "vault";
    } {
        let own = converted(own);
        let by_ansible = converted(listing);
        assert_eq!(own, by_ansible, "{name}");
    }
}

/// The inventory of which the group `k8s_cluster` is made by a playbook, with the files beside it.
fn variable_files() -> InventoryFiles {
    let file = |of: &str, path: &str, text: &str| VariableFile {
        of: of.to_owned(),
        path: path.to_owned(),
        text: text.to_owned(),
    };
    InventoryFiles {
        text: include_str!("fixtures/variable-files.ini").to_owned(),
        group_variables: vec![
            file(
                "all",
                "group_vars/all/all.yml",
                "ansible_user: ubuntu\nansible_port: 2222\nhttp_proxy: http://proxy.corp.example:3128\n",
            ),
            file(
                "k8s_cluster",
                "group_vars/k8s_cluster/k8s-cluster.yml",
                "kube_pods_subnet: 172.30.0.0/17\n",
            ),
        ],
        host_variables: vec![file(
            "rack4",
            "host_vars/rack4.yml",
            "ip: 10.99.0.21\nnode_labels: { disk: ssd }\n",
        )],
    }
}

#[test]
fn variable_files_beside_the_inventory_are_read() {
    let own = of_files(&variable_files());
    let by_ansible = converted(include_str!("fixtures/variable-files.json"));
    assert_eq!((&own.nodes, &own.ssh), (&by_ansible.nodes, &by_ansible.ssh));
    assert_snapshot!(nodes(&own), @r"
    ");
}

#[test]
fn an_encrypted_variable_file_is_named() {
    let mut files = variable_files();
    files.group_variables[0].text = "$ANSIBLE_VAULT;1.1;AES256\n6162\n".to_owned();
    let notes = of_files(&files).notes;
    assert!(
        notes
            .iter()
            .any(|note| note == "group_vars/all/all.yml: encrypted with ansible-vault, not read")
    );
    files.host_variables[0].text = "a: [".to_owned();
    let error = from_inventory(&files, &"prod".parse().unwrap())
        .unwrap_err()
        .to_string();
    assert!(error.starts_with("host_vars/rack4.yml: line 1: "), "{error}");
}

#[test]
fn odd_values_are_read_as_ansible_reads_them() {
    let inventory = read(include_str!("fixtures/odd-values.ini")).unwrap();
    let by_ansible = read(include_str!("fixtures/odd-values.json")).unwrap();
    assert_eq!(inventory.host_variables(), by_ansible.host_variables());
}

#[test]
fn the_third_member_of_etcd_becomes_a_control_plane_beside_two_masters() {
    assert_snapshot!(nodes(&converted(include_str!("fixtures/two-masters.yaml"))), @r"
    ");
}

#[test]
fn nodes_have_the_address_that_services_listen_on() {
    assert_snapshot!(nodes(&converted(include_str!("fixtures/two-networks.yaml"))), @r"
    ");
}

#[test]
fn settings_are_carried_over_or_named_and_secrets_never_shown() {
    let starter = converted(include_str!("fixtures/settings.ini"));
    assert!(!starter.render().contains("CANARY"));
    assert_snapshot!(nodes(&starter), @r"
    ");
    let starter = converted(include_str!("fixtures/both-roles.ini"));
    assert!(!starter.render().contains("CANARY"));
    assert_snapshot!(nodes(&starter), @r"
    ");
}

#[test]
fn kubeasz_names_its_nodes_and_settings_in_its_own_way() {
    assert_snapshot!(nodes(&converted(include_str!("fixtures/kubeasz.ini"))), @r"
    ");
}

#[test]
fn a_deeper_group_wins_then_the_later_name() {
    assert_snapshot!(nodes(&converted(include_str!("fixtures/precedence.ini"))), @r"
    ");
    let text = "\
[zone:children]
kube_control_plane
[kube_control_plane]
a ansible_host=10.0.0.1
[kube_control_plane:vars]
ansible_user=deeper
[zone:vars]
ansible_user=shallower
";
    assert_eq!(converted(text).ssh.user.as_deref(), Some("deeper"));
}

#[test]
fn a_template_is_named_where_a_user_belongs_and_refused_where_an_address_does() {
    assert_snapshot!(nodes(&converted(include_str!("fixtures/template.ini"))), @r"
    ");
    assert_snapshot!(refused("[k8s_masters]\na ansible_host='{{ x }}'\n"), @r"
    ");
}

#[test]
fn hosts_in_etcd_alone_are_left_out_with_a_note() {
    let text = "\
[kube_control_plane]
a ansible_host=10.0.0.1
[etcd]
db[1:3]
";
    assert_snapshot!(nodes(&converted(text)), @r"
    ");
}

#[test]
fn what_no_cluster_can_be_made_of_is_said_in_the_inventorys_own_words() {
    let text = "\
[kube_control_plane]
a ansible_host=10.0.0.1
b ansible_host=10.0.0.1
[kube_node]
c ansible_host=2001:db8::1
";
    assert_snapshot!(refused(text), @r"
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
        let _ = from_inventory(&files(&text), &"prod".parse().unwrap());
    }

    #[test]
    fn no_inventory_like_text_makes_it_panic(text in r"(\[(all|etcd|kube_node|kube_control_plane|k8s_masters)(:vars|:children)?\]\n|[a-z0-9\[\]:=' .]{0,20}\n){0,12}") {
        if let Ok(starter) = from_inventory(&files(&text), &"prod".parse().unwrap()) {
            let _ = parse(&starter.render(), "cluster.yaml");
        }
    }
}
