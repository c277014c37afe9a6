//! A client of one API server that knows how slow that server has been in this run.

use std::ops::Deref;

use kube::Client;

use super::retry::RetryPolicy;
use crate::pace::Pace;

/// A client, and the pace of the node whose API server answers it.
#[derive(Clone)]
pub struct ApiClient {
    client: Client,
    pace: Pace,
}

impl ApiClient {
    /// A client of the API server on a node of this pace.
    pub fn new(client: Client, pace: Pace) -> Self {
        Self { client, pace }
    }

    /// The client alone, for what bounds itself.
    pub fn raw(&self) -> Client {
        self.client.clone()
    }

    /// How slow the server has been.
    pub fn pace(&self) -> &Pace {
        &self.pace
    }

    /// How requests to this server are repeated.
    pub fn policy(&self) -> RetryPolicy {
        RetryPolicy {
            pace: self.pace.clone(),
            ..RetryPolicy::default()
        }
    }

    /// How many requests are under way at once, instead of so many at a usual server.
    pub fn at_once(&self, usual: usize) -> usize {
        self.pace.at_once(usual)
    }
}

impl Deref for ApiClient {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}
