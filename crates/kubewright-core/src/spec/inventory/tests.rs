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
    note: in no group of control planes or workers, and left out: gate
    note: ssh goes to the node's own address: 10.3.0.1 (was 95.54.0.12); where only the other one can be reached, write `Host` entries with `HostName` in your ssh_config
    note: `kube_network_plugin: calico` was not carried over: see `spec.network.cni`
    note: group `bastion`: write its host as `spec.ssh.jump`
    ssh: { user: ubuntu }
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
    ssh: { port: 2222 }
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
    note: names of nodes: 192.168.88.11 is cp-192-168-88-11, 192.168.88.12 is cp-192-168-88-12, 192.168.88.13 is cp-192-168-88-13, Worker_1.example.org is worker-1
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
    host cp1.example.org: `cp1.example.org` is not an address
      = add `ip=ADDRESS` to cp1.example.org: the IPv4 address under which the other nodes reach it
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
    note: group_vars/k8s_cluster/k8s-cluster.yml: not read, `k8s_cluster` is not in the inventory
    note: ssh goes to the node's own address: 10.99.0.21 (was 10.244.8.21); where only the other one can be reached, write `Host` entries with `HostName` in your ssh_config
    note: `node_labels` was not carried over: see `spec.nodes[].labels`
    note: `http_proxy` was not carried over: see `spec.proxy`
    note: the pod range is 10.128.0.0/16, because nodes have addresses in the default, 10.244.0.0/16
    podCidr: 10.128.0.0/16
    ssh: { user: ubuntu, port: 2222 }
    - { name: rack1, address: 10.244.8.11, roles: [control-plane] }
    - { name: rack2, address: 10.244.8.12, roles: [control-plane] }
    - { name: rack3, address: 10.244.8.13, roles: [control-plane] }
    - { name: rack4, address: 10.99.0.21, roles: [worker] }
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
    assert!(error.starts_with("host_vars/rack4.yml: line "), "{error}");
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
    note: in group `etcd`, and control planes as well here, where etcd runs on the control planes: node3
    - { name: node1, address: 10.60.3.11, roles: [control-plane, worker] }
    - { name: node2, address: 10.60.3.12, roles: [control-plane, worker] }
    - { name: node3, address: 10.60.3.13, roles: [control-plane, worker] }
    ");
}

#[test]
fn nodes_have_the_address_that_services_listen_on() {
    assert_snapshot!(nodes(&converted(include_str!("fixtures/two-networks.yaml"))), @r"
    note: ssh goes to the node's own address: 10.10.10.31 (was 198.51.100.31), 10.10.10.32 (was 198.51.100.32), 10.10.10.33 (was 198.51.100.33); where only the other one can be reached, write `Host` entries with `HostName` in your ssh_config
    note: `access_ip` was not carried over, `ip` was: 198.51.100.31, 198.51.100.32, 198.51.100.33; if people outside use one of these, add it to `spec.controlPlane.extraSans`
    ssh: { user: root }
    - { name: edge1, address: 10.10.10.31, roles: [control-plane, worker] }
    - { name: edge2, address: 10.10.10.32, roles: [control-plane, worker] }
    - { name: edge3, address: 10.10.10.33, roles: [control-plane, worker] }
    ");
}

#[test]
fn settings_are_carried_over_or_named_and_secrets_never_shown() {
    let starter = converted(include_str!("fixtures/settings.ini"));
    assert!(!starter.render().contains("CANARY"));
    assert_snapshot!(nodes(&starter), @r"
    note: `kube_proxy_mode: ipvs` is not supported; see `spec.network.proxy`
    note: `kube_version: v1.33.4` was not carried over: see `spec.kubernetes`
    note: `kube_network_plugin: calico` was not carried over: see `spec.network.cni`
    note: `ansible_ssh_common_args` was not carried over: see `spec.ssh.jump`, or your ssh_config
    note: `ansible_become_password` was not carried over: sudo has to work without a password
    note: `http_proxy` was not carried over: see `spec.proxy`
    note: `no_proxy` was not carried over: see `spec.proxy`
    podCidr: 10.42.0.0/16
    serviceCidr: 10.43.0.0/16
    domain: k8s.corp.example
    ssh: { user: deploy, port: 2222, identityFile: '~/.ssh/cluster key' }
    - { name: srv1, address: 10.60.6.11, roles: [control-plane] }
    - { name: srv2, address: 10.60.6.12, roles: [control-plane] }
    - { name: srv3, address: 10.60.6.13, roles: [control-plane] }
    - { name: srv4, address: 10.60.6.21, roles: [worker], port: 22 }
    ");
    let starter = converted(include_str!("fixtures/both-roles.ini"));
    assert!(!starter.render().contains("CANARY"));
    assert_snapshot!(nodes(&starter), @r"
    note: `ansible_password` was not carried over: log in with an SSH key; passwords are never typed
    - { name: box-1, address: 10.60.7.11, roles: [control-plane, worker] }
    - { name: box-2, address: 10.60.7.12, roles: [control-plane, worker] }
    - { name: box-3, address: 10.60.7.13, roles: [control-plane, worker] }
    - { name: box-4, address: 10.60.7.14, roles: [worker] }
    - { name: box-5, address: 10.60.7.15, roles: [worker] }
    ");
}

#[test]
fn kubeasz_names_its_nodes_and_settings_in_its_own_way() {
    assert_snapshot!(nodes(&converted(include_str!("fixtures/kubeasz.ini"))), @r"
    note: names of nodes: 10.60.9.11 is master-01, 10.60.9.12 is master-02, 10.60.9.13 is master-03, 10.60.9.21 is worker-01, 10.60.9.22 is worker-02
    note: `PROXY_MODE: ipvs` is not supported; see `spec.network.proxy`
    note: `CLUSTER_NETWORK: calico` was not carried over: see `spec.network.cni`
    note: `SECURE_PORT` was not carried over: the API server listens on 6443
    note: `NODE_PORT_RANGE: 30000-32767` was not carried over: see `spec.components.kube-apiserver.extraArgs`
    podCidr: 172.20.0.0/16
    serviceCidr: 10.68.0.0/16
    domain: cluster.local
    - { name: master-01, address: 10.60.9.11, roles: [control-plane] }
    - { name: master-02, address: 10.60.9.12, roles: [control-plane] }
    - { name: master-03, address: 10.60.9.13, roles: [control-plane] }
    - { name: worker-01, address: 10.60.9.21, roles: [worker] }
    - { name: worker-02, address: 10.60.9.22, roles: [worker] }
    ");
}

#[test]
fn a_deeper_group_wins_then_the_later_name() {
    assert_snapshot!(nodes(&converted(include_str!("fixtures/precedence.ini"))), @r"
    ssh: { user: edge, port: 2022 }
    - { name: p1, address: 10.60.14.11, roles: [control-plane, worker] }
    - { name: p2, address: 10.60.14.12, roles: [control-plane, worker] }
    - { name: p3, address: 10.60.14.13, roles: [control-plane, worker] }
    - { name: p4, address: 10.60.14.21, roles: [worker] }
    - { name: p5, address: 10.60.14.22, roles: [worker] }
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
    note: `ansible_user` is the template `{{ lookup('env','DEPLOY_USER') }}`, which only Ansible can fill in; write the name as `spec.ssh.user`
    - { name: t1, address: 10.60.13.11, roles: [control-plane] }
    - { name: t2, address: 10.60.13.12, roles: [control-plane] }
    - { name: t3, address: 10.60.13.13, roles: [control-plane] }
    - { name: t4, address: 10.60.13.21, roles: [worker] }
    ");
    assert_snapshot!(refused("[k8s_masters]\na ansible_host='{{ x }}'\n"), @r"
    host a: the address `{{ x }}` is a template, which only Ansible can fill in
      = add `ip=ADDRESS` to a: the IPv4 address under which the other nodes reach it
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
    note: in group `etcd` alone, and left out, as etcd runs on the control planes here: db1, db2, db3
    - { name: a, address: 10.0.0.1, roles: [control-plane] }
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
    a, b are 2 control planes: an even number survives no more losses than one fewer
      = use 1 or 3: etcd needs more than half of them alive
    host c: 2001:db8::1 is an IPv6 address, which is not yet supported
      = add `ip=ADDRESS` to c: the IPv4 address under which the other nodes reach it
    hosts a, b have one address, 10.0.0.1
      = give each host its own address
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
