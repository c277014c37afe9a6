//! What lies outside: proxies, registries, name servers, an OIDC issuer, and the MTU of the path between nodes.

use super::super::cluster::{Cluster, Cni, HttpProxy, Oidc, Registry};
use super::super::report::{Report, Target, child, item};
use super::settings::{is_loopback, url_problem};
use crate::value::shorten;

pub(super) fn check(cluster: &Cluster, report: &mut Report) {
    proxy(&cluster.proxy, report);
    for (name, registry) in &cluster.registries {
        check_registry(name, registry, report);
    }
    name_servers(cluster, report);
    if let Some(oidc) = &cluster.oidc {
        issuer(oidc, report);
    }
    if cluster.network.mtu.is_some() && cluster.network.cni == Cni::None {
        report.error(
            "no-effect",
            "spec.network.mtu",
            Target::Key,
            "the MTU is set of a network that is not installed",
            "remove it, and set it where you install the network",
        );
    }
}

fn proxy(proxy: &HttpProxy, report: &mut Report) {
    const PATH: &str = "spec.proxy";
    const HINT: &str = "write a URL, such as `http://proxy.example.org:3128`";
    for (key, url) in [("http", &proxy.http), ("https", &proxy.https)] {
        if let Some(url) = url
            && let Some(problem) = url_problem(url)
        {
            let message = format!("proxy `{}` {problem}", shown(url));
            report.error("invalid-value", &child(PATH, key), Target::Value, message, HINT);
        }
    }
    let list = child(PATH, "noProxy");
    for (index, host) in proxy.no_proxy.iter().enumerate() {
        if host.is_empty()
            || host.contains(|c: char| {
                c.is_whitespace() || c.is_control() || matches!(c, ',' | '"' | '\\' | '%')
            })
        {
            let message = format!("`{}` is no host, domain or range", shorten(host));
            report.error(
                "invalid-value",
                &item(&list, index),
                Target::Value,
                message,
                "write one host, `.domain` or range in each item of the list",
            );
        }
    }
    if proxy.is_none() && !proxy.no_proxy.is_empty() && report.is_sound(PATH) {
        report.error(
            "no-effect",
            &list,
            Target::Key,
            "`noProxy` without a proxy",
            "add `http` or `https`, or remove it",
        );
    }
}

/// Shows a URL without what may be a password.
fn shown(url: &str) -> String {
    match url.split_once("://").zip(url.rsplit_once('@')) {
        Some(((scheme, _), (_, host))) => shorten(&format!("{scheme}://…@{host}")),
        None => shorten(url),
    }
}

fn check_registry(name: &str, registry: &Registry, report: &mut Report) {
    let path = child("spec.registries", name);
    let is_odd = |c: char| !(c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':'));
    if name.is_empty() || name.contains(is_odd) || name.starts_with(['.', '-']) {
        let message = format!("`{}` is not the name of a registry", shorten(name));
        let hint =
            "write a host as in the names of images, such as `docker.io` or `registry.example.org:5000`";
        report.error("invalid-value", &path, Target::Key, message, hint);
        return;
    }
    let list = child(&path, "mirrors");
    for (index, url) in registry.mirrors.iter().enumerate() {
        let place = item(&list, index);
        if let Some(problem) = url_problem(url) {
            let message = format!("mirror `{}` {problem}", shown(url));
            let hint = "write a URL, such as `https://mirror.example.org`";
            report.error("invalid-value", &place, Target::Value, message, hint);
        } else if url.starts_with("http://") && !is_loopback(url) {
            report.warning(
                "plain-http",
                &place,
                Target::Value,
                format!("images of {name} are fetched without TLS"),
                "anybody on the way can change what runs in your cluster; use https",
            );
        }
    }
    if let Some(ca) = &registry.ca {
        check_pem(&child(&path, "ca"), ca, report);
    }
    if registry.skip_verify {
        report.warning(
            "plain-http",
            &child(&path, "skipVerify"),
            Target::Value,
            format!("certificates are not checked where images of {name} come from"),
            "anybody on the way can change what runs in your cluster; give the authority as `ca`",
        );
    }
    if *registry == Registry::default() && report.is_sound(&path) {
        let message = format!("nothing is said about registry {name}");
        report.error(
            "no-effect",
            &path,
            Target::Key,
            message,
            "add `mirrors` or `ca`, or remove it",
        );
    }
}

fn check_pem(path: &str, text: &str, report: &mut Report) {
    if text.contains("PRIVATE KEY-----") || !text.contains("-----BEGIN CERTIFICATE-----") {
        report.error(
            "invalid-value",
            path,
            Target::Value,
            "`ca` is no certificate in PEM",
            "write it as a block: `ca: |` and below it the lines from `-----BEGIN CERTIFICATE-----` on",
        );
    }
}

fn name_servers(cluster: &Cluster, report: &mut Report) {
    let network = &cluster.network;
    if !report.is_sound("spec.dns.upstream") {
        return;
    }
    for (index, server) in cluster.dns.upstream.iter().enumerate() {
        let problem = if server.is_loopback() || server.is_unspecified() {
            "is CoreDNS itself where CoreDNS asks it"
        } else if network.service_cidr.contains(*server) || network.pod_cidr.contains(*server) {
            "lies in the cluster's own ranges"
        } else {
            continue;
        };
        report.error(
            "invalid-value",
            &item("spec.dns.upstream", index),
            Target::Value,
            format!("name server {server} {problem}"),
            "write the address of a server outside the cluster",
        );
    }
}

fn issuer(oidc: &Oidc, report: &mut Report) {
    const PATH: &str = "spec.oidc.issuer";
    if report.is_sound(PATH) && !oidc.issuer.is_empty() {
        let problem = url_problem(&oidc.issuer)
            .or_else(|| (!oidc.issuer.starts_with("https://")).then_some("does not begin with `https://`"));
        if let Some(problem) = problem {
            let message = format!("issuer `{}` {problem}", shown(&oidc.issuer));
            let hint =
                "write the URL as the issuer writes it in its tokens, such as `https://login.example.org`";
            report.error("invalid-value", PATH, Target::Value, message, hint);
        }
    }
    if let Some(ca) = &oidc.ca {
        check_pem("spec.oidc.ca", ca, report);
    }
}
