//! Content that arrives, and content that must not be seen.

use super::*;

#[test]
fn secrets_and_keys_are_in_no_journal_and_nothing_else_that_is_kept() {
    let mut bench = Bench::new();
    bench.system.put("/etc/demo/pki/sa.key", "old-canary-secret");
    bench.converge_all().unwrap();
    let kept = bench.system.all_content("/var/lib/kubewright");
    let kept = String::from_utf8_lossy(&kept);
    for canary in [CANARY, "old-canary-secret", "PRIVATE KEY"] {
        assert!(!kept.contains(canary));
    }
    assert_eq!(bench.system.mode("/var/lib/kubewright"), 0o700);
    assert_eq!(bench.system.mode("/var/lib/kubewright/state.json"), 0o600);
}

#[test]
fn a_present_file_that_may_hold_a_secret_is_not_shown() {
    for text in [
        "users:\n- client-key-data: Y2FuYXJ5\n",
        "token: Y2FuYXJ5\n",
        "{\"token\": \"Y2FuYXJ5\"}\n",
        "Environment=TOKEN=Y2FuYXJ5\n",
        "ExecStart=/bin/x --token Y2FuYXJ5\n",
    ] {
        assert_eq!(change_of_config(text), Change::Content { before: None }, "{text}");
    }
}

#[test]
fn arguments_that_only_speak_of_tokens_are_shown() {
    let text = "ExecStart=/bin/x --service-account-extend-token-expiration=false\n";
    let before = Some(text.to_owned());
    assert_eq!(change_of_config(text), Change::Content { before });
}

fn change_of_config(text: &str) -> Change {
    let bench = Bench::new();
    bench.system.put("/etc/demo/config", text);
    let found = bench.inspect();
    let found = found
        .into_iter()
        .find(|found| found.resource.as_str() == "file:/etc/demo/config");
    found.unwrap().change
}

#[test]
fn a_blob_that_is_not_what_was_asked_for_leaves_the_old_file() {
    let compressed = |content: &[u8]| zstd::encode_all(content, 3).unwrap();
    let cut = {
        let whole = compressed(&vec![7; 300_000]);
        whole[..whole.len() / 2].to_vec()
    };
    for (bad, complaint) in [
        (cut, "receive"),
        (compressed(b"short"), "only 5 of 300000 bytes arrived"),
        (compressed(&vec![8; 300_000]), "the content's digest is"),
        (compressed(&vec![7; 900_000]), "more than 300000 bytes arrived"),
        (b"<html>not found</html>".to_vec(), "receive"),
    ] {
        let mut bench = Bench::new();
        bench.converge_all().unwrap();
        let blob = bench.controller.offer(&vec![7; 300_000]);
        bench.controller.blobs.insert(blob.sha256, bad);
        bench.replace(Resource::Binary(Binary {
            path: "/usr/local/bin/tool".to_owned(),
            name: "tool".to_owned(),
            version: "2".to_owned(),
            blob: Some(blob),
        }));
        let error = bench.converge_all().unwrap_err();
        assert!(error.to_string().contains(complaint), "{error}");
        assert_eq!(bench.system.get("/usr/local/bin/tool"), "\x7fELF tool");
        assert_eq!(leftovers_of_writing(&bench.system), Vec::<String>::new());
    }
}

#[test]
fn a_corrupt_image_is_not_kept() {
    let mut bench = Bench::new();
    let digest = bench
        .state
        .resources
        .iter()
        .find_map(|staged| match &staged.resource {
            Resource::Image(image) => image.blob.map(|blob| blob.sha256),
            _ => None,
        });
    let bad = format!("registry.example/pause:1 {}", Digest::of(b"other"));
    let bad = zstd::encode_all(bad.as_bytes(), 3).unwrap();
    bench.controller.blobs.insert(digest.unwrap(), bad);
    bench.converge_all().unwrap_err();
    assert!(bench.system.simulated().images.is_empty());
}
