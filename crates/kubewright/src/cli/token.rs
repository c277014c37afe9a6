//! `kubewright token`.

use std::time::Duration;

use kubewright_control::kube::token::{TokenOptions, issue_token};
use kubewright_control::observe::UnreachablePolicy;
use kubewright_control::session::Purpose;

use super::kubeconfig::duration_from;
use super::session;
use crate::failure::{Failure, Kind};
use crate::settings::GlobalFlags;
use crate::ui::Ui;

/// Arguments of `token`.
#[derive(clap::Args, Debug)]
pub(crate) struct Arguments {
    /// The service account's name; it is created if it does not exist
    name: String,
    /// Its namespace
    #[arg(long, default_value = "kube-system")]
    namespace: String,
    /// Bind the account to cluster-admin
    #[arg(long)]
    cluster_admin: bool,
    /// Validity, such as 30m or 8h (10m to 365d)
    #[arg(long, default_value = "8h", value_parser = lifetime)]
    ttl: Duration,
}

/// Reads the validity of a token; the API server issues none for less than ten minutes.
fn lifetime(text: &str) -> Result<Duration, String> {
    duration_from(text, Duration::from_secs(600), "10m")
}

/// Issues and prints the token.
pub(crate) async fn run(arguments: &Arguments, flags: &GlobalFlags, ui: &Ui) -> Result<(), Failure> {
    let opened = session::open("token", flags, ui)?.with_policy(UnreachablePolicy::OneControlPlane);
    let look = opened.first_look(Purpose::Read).await?;
    session::tell_absent(&look.observed, ui);
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

#[cfg(test)]
mod tests {
    use super::lifetime;

    #[test]
    fn a_token_for_less_than_the_api_server_issues_is_a_usage_error() {
        assert_eq!(lifetime("9m").unwrap_err(), "choose between 10m and 365d");
        assert_eq!(lifetime("10m").unwrap().as_secs(), 600);
    }
}
