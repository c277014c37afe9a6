//! Kubeconfigs that point at key files: the key itself never leaves the file it was made in.

use serde_json::json;

use super::apiserver;
use super::configuration::to_yaml;
use super::view::{file_for, private_file};
use crate::resource::{AuthorityName, Certificate, Resource};

/// Who talks to which API server, from which file.
pub(crate) struct Kubeconfig<'a> {
    pub(crate) path: &'a str,
    pub(crate) cluster: &'a str,
    pub(crate) user: &'a str,
    pub(crate) server: &'a str,
    pub(crate) certificate: &'a Certificate,
}

impl Kubeconfig<'_> {
    /// The file, for root alone.
    pub(crate) fn file(&self) -> Resource {
        private_file(self.path, self.content())
    }

    /// The file, for a group as well.
    pub(crate) fn file_for(&self, group: &str) -> Resource {
        file_for(group, self.path, self.content())
    }

    fn content(&self) -> String {
        let context = format!("{}@{}", self.user, self.cluster);
        let value = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": self.cluster, "cluster": {
                "certificate-authority": AuthorityName::Kubernetes.certificate_path(),
                "server": self.server,
                "tls-server-name": apiserver::SERVER_NAME,
            }}],
            "users": [{"name": self.user, "user": {
                "client-certificate": self.certificate.certificate_path,
                "client-key": self.certificate.key_path,
            }}],
            "contexts": [{"name": context, "context": {"cluster": self.cluster, "user": self.user}}],
            "current-context": context,
        });
        to_yaml(&value)
    }
}
