//! Proxies, registries, name servers and issuers.

use super::words::keys;
use super::{Decoder, Fields};
use crate::spec::cluster::{Dns, HttpProxy, Oidc, Registry};
use crate::spec::report::{child, item};
use std::collections::BTreeMap;

const CA_EXAMPLE: &str = "write the certificates in PEM as a block: `ca: |` and the lines below it";

pub(super) fn proxy(d: &mut Decoder<'_>, spec: &Fields<'_>) -> HttpProxy {
    let path = spec.path("proxy");
    let fields = d.fields(spec.get("proxy"), &path, keys(&path));
    let example = "write a URL, such as `http://proxy.example.org:3128`";
    HttpProxy {
        http: d.optional_text(&fields, "http", example),
        https: d.optional_text(&fields, "https", example),
        no_proxy: texts(
            d,
            &fields,
            "noProxy",
            "write a list, such as `[.example.org, 10.0.0.0/8]`",
        ),
    }
}

pub(super) fn registries(d: &mut Decoder<'_>, spec: &Fields<'_>) -> BTreeMap<String, Registry> {
    let path = spec.path("registries");
    let mut registries = BTreeMap::new();
    let Some(tree) = spec.get("registries") else {
        return registries;
    };
    let example = "write a map by registry, such as `docker.io: { mirrors: [https://mirror.example.org] }`";
    for (name, value) in d.free_entries(tree, &path, example) {
        let fields = d.fields(Some(value), &child(&path, name), keys("spec.registries.*"));
        let skip_verify = fields
            .get("skipVerify")
            .and_then(|tree| d.boolean(tree, &fields.path("skipVerify")));
        registries.insert(
            name.to_owned(),
            Registry {
                mirrors: texts(
                    d,
                    &fields,
                    "mirrors",
                    "write a list of URLs, such as `[https://mirror.example.org]`",
                ),
                ca: d.optional_text(&fields, "ca", CA_EXAMPLE),
                skip_verify: skip_verify.unwrap_or_default(),
            },
        );
    }
    registries
}

pub(super) fn dns(d: &mut Decoder<'_>, spec: &Fields<'_>) -> Dns {
    let path = spec.path("dns");
    let fields = d.fields(spec.get("dns"), &path, keys(&path));
    let example = "write a list of addresses, such as `[192.0.2.53]`";
    let place = fields.path("upstream");
    let upstream = d
        .items(&fields, "upstream", example)
        .iter()
        .enumerate()
        .filter_map(|(index, tree)| d.address(tree, &item(&place, index), example))
        .collect();
    Dns {
        upstream,
        extra_config: d.optional_text(
            &fields,
            "extraConfig",
            "write server blocks of a Corefile as a block: `|`",
        ),
    }
}

pub(super) fn oidc(d: &mut Decoder<'_>, spec: &Fields<'_>) -> Option<Oidc> {
    let path = spec.path("oidc");
    let tree = spec.get("oidc")?;
    let fields = d.fields(Some(tree), &path, keys(&path));
    let issuer = "add `issuer: https://login.example.org`";
    d.required(&fields, "issuer", "the issuer's URL", issuer);
    let client = "add `clientId: kubernetes`";
    d.required(&fields, "clientId", "the client id", client);
    let claim = "write the name of a claim, such as `email`";
    // An empty prefix says that there is none.
    let prefix = fields
        .get("prefix")
        .and_then(|tree| d.text(tree, &fields.path("prefix"), "write a text, such as `oidc:`"));
    Some(Oidc {
        issuer: d.optional_text(&fields, "issuer", issuer).unwrap_or_default(),
        client_id: d.optional_text(&fields, "clientId", client).unwrap_or_default(),
        ca: d.optional_text(&fields, "ca", CA_EXAMPLE),
        username_claim: d
            .optional_text(&fields, "usernameClaim", claim)
            .unwrap_or_else(Oidc::username_claim),
        groups_claim: d.optional_text(&fields, "groupsClaim", claim),
        prefix: prefix.map_or_else(Oidc::prefix, str::to_owned),
    })
}

fn texts(d: &mut Decoder<'_>, fields: &Fields<'_>, key: &str, example: &str) -> Vec<String> {
    let path = fields.path(key);
    d.items(fields, key, example)
        .iter()
        .enumerate()
        .filter_map(|(index, tree)| d.text(tree, &item(&path, index), example))
        .map(str::to_owned)
        .collect()
}
