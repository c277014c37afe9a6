//! What the proxy learns from the API, keeps, and uses again.

use std::net::SocketAddr;
use std::sync::atomic::Ordering::Relaxed;

use super::super::members_file;
use super::super::verdict::Health;
use super::fake_api::{FakeApi, answer, list_of};
use super::fixture::{Fixture, RunningProxy, eventually, within};

fn listed_on_disk(fixture: &Fixture) -> Vec<SocketAddr> {
    members_file::load(&fixture.path("members.json"))
        .unwrap()
        .listed
        .into_iter()
        .collect()
}

async fn wait_for_learning(proxy: &RunningProxy) {
    let learned = || proxy.pool.counters.membership_successes.load(Relaxed);
    let before = learned();
    eventually("list learned", || learned() >= before + 2).await;
}

#[tokio::test]
async fn learned_servers_are_used_after_all_configured_ones_are_gone() {
    let fixture = Fixture::new();
    let mut configured = FakeApi::start(&fixture.authority, "configured").await;
    let learned = FakeApi::start(&fixture.authority, "learned").await;
    let both = list_of(&[configured.address, learned.address]);
    configured.set(|behaviour| behaviour.list.clone_from(&both));
    learned.set(|behaviour| behaviour.list = both);
    let config = fixture.config(&[configured.address]);
    let proxy = fixture.start(&config).await;
    proxy.wait_ready(learned.address).await;
    eventually("written", || listed_on_disk(&fixture).contains(&learned.address)).await;
    proxy.stop().await;
    configured.kill().await;
    let proxy = fixture.start(&config).await;
    assert_eq!(within(fixture.reached(proxy.address)).await.unwrap(), "learned");
}

#[tokio::test]
async fn an_empty_list_makes_it_forget_nothing() {
    let fixture = Fixture::new();
    let api = FakeApi::start(&fixture.authority, "api").await;
    let other = FakeApi::start(&fixture.authority, "other").await;
    api.set(|behaviour| behaviour.list = list_of(&[api.address, other.address]));
    other.set(|behaviour| behaviour.list = list_of(&[]));
    let proxy = fixture.start(&fixture.config(&[api.address])).await;
    proxy.wait_ready(other.address).await;
    api.set(|behaviour| behaviour.list = list_of(&[]));
    wait_for_learning(&proxy).await;
    assert_eq!(proxy.health(other.address), Some(Health::Ready));
    assert_eq!(listed_on_disk(&fixture).len(), 2);
}

#[tokio::test]
async fn a_configured_server_the_api_does_not_list_is_a_last_resort() {
    let fixture = Fixture::new();
    let unlisted = FakeApi::start(&fixture.authority, "unlisted").await;
    let mut listed = FakeApi::start(&fixture.authority, "listed").await;
    unlisted.set(|behaviour| behaviour.list = list_of(&[listed.address]));
    let proxy = fixture
        .start(&fixture.config(&[unlisted.address, listed.address]))
        .await;
    wait_for_learning(&proxy).await;
    proxy.wait_ready(unlisted.address).await;
    proxy.wait_ready(listed.address).await;
    for _ in 0..5 {
        assert_eq!(within(fixture.reached(proxy.address)).await.unwrap(), "listed");
    }
    listed.kill().await;
    assert_eq!(within(fixture.reached(proxy.address)).await.unwrap(), "unlisted");
}

#[tokio::test]
async fn a_refusal_or_a_hostile_list_stops_no_client() {
    let fixture = Fixture::new();
    let api = FakeApi::start(&fixture.authority, "api").await;
    let failed = |proxy: &RunningProxy| proxy.pool.counters.membership_failures.load(Relaxed);
    for list in [
        answer(403, "no"),
        answer(200, "{}"),
        answer(200, &"x".repeat(2_000_000)),
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffff\r\n".to_owned(),
    ] {
        api.set(|behaviour| behaviour.list = list);
        let proxy = fixture.start(&fixture.config(&[api.address])).await;
        eventually("failure counted", || failed(&proxy) >= 2).await;
        assert_eq!(within(fixture.reached(proxy.address)).await.unwrap(), "api");
        proxy.stop().await;
    }
    assert!(!fixture.path("members.json").exists());
}

#[tokio::test]
async fn an_identity_that_becomes_whole_later_is_used_without_a_restart() {
    let fixture = Fixture::new();
    std::fs::write(fixture.path("client.crt"), "half writ").unwrap();
    let api = FakeApi::start(&fixture.authority, "api").await;
    let proxy = fixture.start(&fixture.config(&[api.address])).await;
    let counters = &proxy.pool.counters;
    eventually("refused without identity", || {
        counters.membership_failures.load(Relaxed) > 0
    })
    .await;
    fixture.write_identity();
    eventually("learned with identity", || {
        counters.membership_successes.load(Relaxed) > 0
    })
    .await;
}

#[tokio::test]
async fn a_damaged_memory_is_ignored_and_replaced() {
    let fixture = Fixture::new();
    std::fs::write(fixture.path("members.json"), "{\"listed\":[\"").unwrap();
    let api = FakeApi::start(&fixture.authority, "api").await;
    let proxy = fixture.start(&fixture.config(&[api.address])).await;
    assert_eq!(within(fixture.reached(proxy.address)).await.unwrap(), "api");
    let is_whole = || members_file::load(&fixture.path("members.json")).is_ok();
    eventually("memory replaced", is_whole).await;
    assert_eq!(listed_on_disk(&fixture), [api.address]);
}

#[tokio::test]
async fn a_missing_ca_is_an_error_at_the_start() {
    let fixture = Fixture::new();
    std::fs::remove_file(fixture.path("ca.crt")).unwrap();
    let error = fixture
        .try_start(&fixture.config(&[]))
        .await
        .err()
        .unwrap()
        .to_string();
    assert!(error.contains("ca.crt"), "{error}");
}
