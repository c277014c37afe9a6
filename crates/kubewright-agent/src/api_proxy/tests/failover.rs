//! Which server clients reach while servers fail and come back.

use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpListener, TcpStream};

use super::super::verdict::{Failure, Health};
use super::fake_api::FakeApi;
use super::fixture::{Authority, Fixture, eventually, name, within};

#[tokio::test]
async fn a_killed_server_costs_new_connections_no_error() {
    let fixture = Fixture::new();
    let mut first = FakeApi::start(&fixture.authority, "first").await;
    let second = FakeApi::start(&fixture.authority, "second").await;
    let mut config = fixture.config(&[first.address, second.address]);
    config.local = Some(first.address);
    let proxy = fixture.start(&config).await;
    proxy.wait_ready(first.address).await;
    proxy.wait_ready(second.address).await;
    assert_eq!(within(fixture.reached(proxy.address)).await.unwrap(), "first");
    first.kill().await;
    for _ in 0..40 {
        assert_eq!(within(fixture.reached(proxy.address)).await.unwrap(), "second");
    }
}

#[tokio::test]
async fn prefers_the_local_server_and_comes_back_to_it_without_cutting_others() {
    let fixture = Fixture::new();
    let local = FakeApi::start(&fixture.authority, "local").await;
    let remote = FakeApi::start(&fixture.authority, "remote").await;
    let mut config = fixture.config(&[local.address, remote.address]);
    config.local = Some(local.address);
    let proxy = fixture.start(&config).await;
    proxy.wait_ready(local.address).await;
    proxy.wait_ready(remote.address).await;
    assert_eq!(within(fixture.reached(proxy.address)).await.unwrap(), "local");
    local.set(|behaviour| behaviour.readyz = 500);
    proxy.wait_down(local.address).await;
    let mut held = within(fixture.client(proxy.address)).await;
    assert_eq!(within(name(&mut held)).await.unwrap(), "remote");
    local.set(|behaviour| behaviour.readyz = 200);
    proxy.wait_ready(local.address).await;
    assert_eq!(within(fixture.reached(proxy.address)).await.unwrap(), "local");
    assert_eq!(within(name(&mut held)).await.unwrap(), "remote");
}

#[tokio::test]
async fn a_hung_server_is_ejected_and_its_connections_end() {
    let fixture = Fixture::new();
    let hung = FakeApi::start(&fixture.authority, "hung").await;
    let other = FakeApi::start(&fixture.authority, "other").await;
    let mut config = fixture.config(&[hung.address, other.address]);
    config.local = Some(hung.address);
    let proxy = fixture.start(&config).await;
    proxy.wait_ready(hung.address).await;
    proxy.wait_ready(other.address).await;
    let mut held = within(fixture.client(proxy.address)).await;
    assert_eq!(within(name(&mut held)).await.unwrap(), "hung");
    hung.set(|behaviour| behaviour.is_hung = true);
    assert!(within(name(&mut held)).await.is_err());
    assert_eq!(proxy.health(hung.address), Some(Health::Down(Failure::TimedOut)));
    assert_eq!(within(fixture.reached(proxy.address)).await.unwrap(), "other");
}

#[tokio::test]
async fn a_hung_server_keeps_its_connections_while_there_is_no_other() {
    let fixture = Fixture::new();
    let hung = FakeApi::start(&fixture.authority, "hung").await;
    let other = FakeApi::start(&fixture.authority, "other").await;
    other.set(|behaviour| behaviour.readyz = 500);
    let proxy = fixture
        .start(&fixture.config(&[hung.address, other.address]))
        .await;
    proxy.wait_ready(hung.address).await;
    proxy.wait_down(other.address).await;
    let mut held = within(fixture.client(proxy.address)).await;
    assert_eq!(within(name(&mut held)).await.unwrap(), "hung");
    hung.set(|behaviour| behaviour.is_hung = true);
    proxy.wait_down(hung.address).await;
    let backend = proxy
        .pool
        .backends()
        .into_iter()
        .find(|backend| backend.address == hung.address)
        .unwrap();
    let active = || backend.counters.active.load(std::sync::atomic::Ordering::Relaxed);
    assert_eq!(active(), 1);
    other.set(|behaviour| behaviour.readyz = 200);
    assert!(within(name(&mut held)).await.is_err());
    eventually("connection cut", || active() == 0).await;
}

#[tokio::test]
async fn a_server_that_is_not_ready_is_left_and_its_connections_end_after_a_while() {
    let fixture = Fixture::new();
    let unready = FakeApi::start(&fixture.authority, "unready").await;
    let other = FakeApi::start(&fixture.authority, "other").await;
    let mut config = fixture.config(&[unready.address, other.address]);
    config.local = Some(unready.address);
    let proxy = fixture.start(&config).await;
    proxy.wait_ready(unready.address).await;
    proxy.wait_ready(other.address).await;
    let mut held = within(fixture.client(proxy.address)).await;
    assert_eq!(within(name(&mut held)).await.unwrap(), "unready");
    unready.set(|behaviour| behaviour.readyz = 500);
    proxy.wait_down(unready.address).await;
    assert_eq!(
        proxy.health(unready.address),
        Some(Health::Down(Failure::Status(500)))
    );
    assert_eq!(within(fixture.reached(proxy.address)).await.unwrap(), "other");
    within(async { while name(&mut held).await.is_ok() {} }).await;
}

#[tokio::test]
async fn a_server_of_another_cluster_is_never_used() {
    let fixture = Fixture::new();
    let foreign = FakeApi::start(&Authority::new(), "foreign").await;
    let proxy = fixture.start(&fixture.config(&[foreign.address])).await;
    assert!(ends_at_once(proxy.address).await);
    assert_eq!(
        proxy.health(foreign.address),
        Some(Health::Down(Failure::Untrusted))
    );
    proxy.stop().await;

    let own = FakeApi::start(&fixture.authority, "own").await;
    let mut config = fixture.config(&[foreign.address, own.address]);
    config.local = Some(foreign.address);
    let proxy = fixture.start(&config).await;
    proxy.wait_ready(own.address).await;
    for _ in 0..10 {
        assert_eq!(within(fixture.reached(proxy.address)).await.unwrap(), "own");
    }
    assert_eq!(foreign.behaviour.lock().unwrap().asked, 0);
}

#[tokio::test]
async fn with_every_server_down_connections_end_at_once_and_work_again_when_one_is_back() {
    let fixture = Fixture::new();
    let mut api = FakeApi::start(&fixture.authority, "first life").await;
    let proxy = fixture.start(&fixture.config(&[api.address])).await;
    proxy.wait_ready(api.address).await;
    api.kill().await;
    assert!(ends_at_once(proxy.address).await);
    proxy.wait_down(api.address).await;
    assert!(ends_at_once(proxy.address).await);
    let _api = FakeApi::start_at(&fixture.authority, "second life", api.address).await;
    proxy.wait_ready(api.address).await;
    assert_eq!(
        within(fixture.reached(proxy.address)).await.unwrap(),
        "second life"
    );
}

#[tokio::test]
async fn goes_past_a_server_that_takes_no_connections() {
    let fixture = Fixture::new();
    // Never accepted from: connections wait in its queue and get no answer.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent_address = silent.local_addr().unwrap();
    let api = FakeApi::start(&fixture.authority, "api").await;
    let mut config = fixture.config(&[silent_address, api.address]);
    config.local = Some(silent_address);
    let proxy = fixture.start(&config).await;
    for _ in 0..5 {
        assert_eq!(within(fixture.reached(proxy.address)).await.unwrap(), "api");
    }
    proxy.wait_down(silent_address).await;
    assert_eq!(
        proxy.health(silent_address),
        Some(Health::Down(Failure::TimedOut))
    );
}

#[tokio::test]
async fn spreads_connections_over_ready_servers() {
    let fixture = Fixture::new();
    let first = FakeApi::start(&fixture.authority, "first").await;
    let second = FakeApi::start(&fixture.authority, "second").await;
    first.set(|behaviour| behaviour.list = super::fake_api::list_of(&[first.address, second.address]));
    second.set(|behaviour| behaviour.list = super::fake_api::list_of(&[first.address, second.address]));
    let proxy = fixture
        .start(&fixture.config(&[first.address, second.address]))
        .await;
    proxy.wait_ready(first.address).await;
    proxy.wait_ready(second.address).await;
    let mut clients = Vec::new();
    let mut firsts = 0;
    for _ in 0..10 {
        let mut client = within(fixture.client(proxy.address)).await;
        firsts += usize::from(within(name(&mut client)).await.unwrap() == "first");
        clients.push(client);
    }
    assert_eq!(firsts, 5);
}

#[tokio::test]
async fn stops_listening_and_ends_when_told() {
    let fixture = Fixture::new();
    let api = FakeApi::start(&fixture.authority, "api").await;
    let proxy = fixture.start(&fixture.config(&[api.address])).await;
    let address = proxy.address;
    let mut held = within(fixture.client(address)).await;
    assert_eq!(within(name(&mut held)).await.unwrap(), "api");
    proxy.stop().await;
    assert!(TcpStream::connect(address).await.is_err());
    assert!(within(name(&mut held)).await.is_err());
}

/// Connects and says whether the connection is ended from the other side before anything is said.
async fn ends_at_once(address: std::net::SocketAddr) -> bool {
    let mut stream = TcpStream::connect(address).await.unwrap();
    within(stream.read(&mut [0; 16])).await.unwrap_or(0) == 0
}
