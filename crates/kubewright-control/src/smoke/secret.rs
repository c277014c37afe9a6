//! A Secret's value as etcd has it.

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::{ObjectMeta, PostParams};

use super::{Checked, Scene, api_error};
use crate::kube::objects::FIELD_MANAGER;
use crate::random;

const NAME: &str = "canary";

/// Writes a Secret and looks at etcd's own bytes: they begin as encrypted ones do, and the value is not in them.
pub(super) async fn is_encrypted(scene: &Scene<'_>, prefix: &str) -> Checked {
    let value = random::bytes::<32>().map_err(|error| error.to_string())?;
    // Text, so that it would be found as well if it were stored in another form than raw bytes.
    let value: Vec<u8> = value.iter().map(|byte| b'a' + byte % 26).collect();
    let api: Api<Secret> = Api::namespaced(scene.client.raw(), &scene.namespace);
    let secret = Secret {
        metadata: ObjectMeta {
            name: Some(NAME.to_owned()),
            ..ObjectMeta::default()
        },
        data: Some([("value".to_owned(), ByteString(value.clone()))].into()),
        ..Secret::default()
    };
    let parameters = PostParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PostParams::default()
    };
    api.create(&parameters, &secret).await.map_err(api_error)?;
    let key = format!("/registry/secrets/{}/{NAME}", scene.namespace);
    let stored = scene
        .access
        .etcd_value(&key)
        .await?
        .ok_or_else(|| format!("etcd has no key {key}"))?;
    judge(&stored, prefix, &value)
}

fn judge(stored: &[u8], prefix: &str, value: &[u8]) -> Checked {
    if stored.windows(value.len()).any(|window| window == value) {
        return Err("the value is readable in etcd".to_owned());
    }
    if !stored.starts_with(prefix.as_bytes()) {
        return Err(format!("the value in etcd does not begin with `{prefix}`"));
    }
    // After the prefix comes the key's name.
    let name: String = stored[prefix.len()..]
        .iter()
        .take_while(|byte| byte.is_ascii_graphic() && **byte != b':')
        .map(|byte| char::from(*byte))
        .collect();
    Ok(format!("{prefix}{name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_right_prefix_without_the_value_passes() {
        let prefix = "k8s:enc:secretbox:v1:";
        assert_eq!(
            judge(b"k8s:enc:secretbox:v1:k1:\x00\x01", prefix, b"canary").unwrap(),
            "k8s:enc:secretbox:v1:k1"
        );
        assert!(judge(b"k8s:enc:aescbc:v1:k1:\x00", prefix, b"canary").is_err());
        assert!(judge(b"k8s:enc:secretbox:v1:k1:canary", prefix, b"canary").is_err());
        assert!(judge(b"k8s\x00v1Secret canary", prefix, b"canary").is_err());
    }
}
