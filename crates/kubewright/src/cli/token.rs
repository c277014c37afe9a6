//! `kubewright token`.

use std::time::Duration;

use kubewright_control::kube::token::{TokenOptions, issue_token};
use kubewright_control::observe::UnreachablePolicy;
use kubewright_control::session::Purpose;

use super::session;
use crate::failure::{Failure, Kind};
use crate::settings::GlobalFlags;
use crate::ui::Ui;

/// Arguments of `token`.
#[derive(clap::Args, Debug)]
pub(crate) struct Arguments {
    /// The service account's name; it is made when it does not exist
    name: String,
    /// Its namespace
    #[arg(long, default_value = "kube-system")]
    namespace: String,
    /// Bind the account to cluster-admin
    #[arg(long)]
    cluster_admin: bool,
    /// How long the token is valid, as in 8h
    #[arg(long, default_value = "8h", value_parser = super::kubeconfig::lifetime)]
    ttl: Duration,
}

/// Issues and prints the token.
pub(crate) async fn run(arguments: &Arguments, flags: &GlobalFlags, ui: &Ui) -> Result<(), Failure> {
    let opened = session::open("token", flags, ui)?.lacking(UnreachablePolicy::AllButOneControlPlane);
    let look = opened.first_look(Purpose::Read).await?;
    let client = look
        .api
        .client()
        .await
        .map_err(|error| session::failure(&error))?;
    let request = TokenOptions {
        name: arguments.name.clone(),
        namespace: arguments.namespace.clone(),
        cluster_admin: arguments.cluster_admin,
        lifetime: arguments.ttl,
    };
    let token = issue_token(&client, &request)
        .await
        .map_err(|error| Failure::from_error(Kind::Api, &error))?;
    ui.secret(&token.token);
    Ok(())
}
