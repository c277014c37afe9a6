//! Connecting before any check has said who is alive.

use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpSocket, TcpStream};

use super::super::dial::dial;
use super::super::members::Standing;
use super::super::pool::Pool;
use super::super::timing::Timing;
use super::fixture::within;

fn pool(addresses: &[SocketAddr]) -> Pool {
    let pool = Pool::new(None, 1, Timing::default());
    pool.set(
        &addresses
            .iter()
            .map(|address| (*address, Standing::Member))
            .collect(),
    );
    pool
}

async fn refusing() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap()
}

#[tokio::test]
async fn goes_past_every_refusal_within_one_attempt() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let listening = listener.local_addr().unwrap();
    let pool = pool(&[refusing().await, refusing().await, refusing().await, listening]);
    let dialled = within(dial(&pool)).await.unwrap();
    assert_eq!(dialled.stream.peer_addr().unwrap(), listening);
}

#[tokio::test]
async fn gives_up_when_all_refuse() {
    let pool = pool(&[refusing().await, refusing().await]);
    assert!(within(dial(&pool)).await.is_none());
    assert!(within(dial(&self::pool(&[]))).await.is_none());
}

#[tokio::test]
async fn goes_past_one_that_drops_connection_requests() {
    // A full accept queue drops further requests, as a firewall or a dead machine does.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let full = socket.listen(1).unwrap();
    let dropping = full.local_addr().unwrap();
    let mut queued = Vec::new();
    while let Ok(stream) = tokio::time::timeout(
        std::time::Duration::from_millis(200),
        TcpStream::connect(dropping),
    )
    .await
    {
        queued.push(stream.unwrap());
        assert!(queued.len() < 64, "the queue never fills");
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let listening = listener.local_addr().unwrap();
    let dialled = within(dial(&pool(&[dropping, listening]))).await.unwrap();
    assert_eq!(dialled.stream.peer_addr().unwrap(), listening);
    assert!(within(dial(&pool(&[dropping]))).await.is_none());
}
