//! Bytes arrive whole and in order, ends are passed on, cuts are prompt.

use super::*;
use std::time::Duration;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

const BOUND: Duration = Duration::from_secs(30);

struct Carried {
    client: TcpStream,
    server: TcpStream,
    cut: watch::Sender<u64>,
    shutdown: watch::Sender<bool>,
    relaying: JoinHandle<End>,
}

async fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let near = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    (near, listener.accept().await.unwrap().0)
}

async fn carry() -> Carried {
    let (client, client_far) = pair().await;
    let (server_far, server) = pair().await;
    let (cut, cut_receiver) = watch::channel(0);
    let (shutdown, shutdown_receiver) = watch::channel(false);
    let ends = Ends {
        cut: cut_receiver,
        shutdown: shutdown_receiver,
    };
    let relaying = tokio::spawn(async move {
        let (scratch, counters, timing) = (Scratch::new(), Counters::default(), Timing::default());
        relay(client_far, server_far, ends, &scratch, &counters, &timing).await
    });
    Carried {
        client,
        server,
        cut,
        shutdown,
        relaying,
    }
}

#[tokio::test]
async fn carries_more_than_the_buffers_hold_in_order_and_passes_the_end_on() {
    let Carried {
        client,
        mut server,
        relaying,
        cut: _cut,
        shutdown: _shutdown,
    } = carry().await;
    let sent: Vec<u8> = (0..8_000_000_u32).map(|number| (number % 251) as u8).collect();
    let expected = sent.clone();
    let (mut client_read, mut client_write) = client.into_split();
    let writing = tokio::spawn(async move {
        client_write.write_all(&sent).await.unwrap();
        client_write.shutdown().await.unwrap();
    });
    let mut received = Vec::new();
    timeout(BOUND, server.read_to_end(&mut received))
        .await
        .unwrap()
        .unwrap();
    assert!(received == expected);
    writing.await.unwrap();
    // Half closed: the answer still comes.
    server.write_all(b"answer").await.unwrap();
    drop(server);
    let mut answer = Vec::new();
    timeout(BOUND, client_read.read_to_end(&mut answer))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(answer, b"answer");
    assert_eq!(timeout(BOUND, relaying).await.unwrap().unwrap(), End::InOrder);
}

#[tokio::test]
async fn a_cut_resets_both_sides() {
    let Carried {
        mut client,
        mut server,
        relaying,
        cut,
        shutdown: _shutdown,
    } = carry().await;
    client.write_all(b"x").await.unwrap();
    server.read_exact(&mut [0; 1]).await.unwrap();
    cut.send_replace(1);
    assert_eq!(timeout(BOUND, relaying).await.unwrap().unwrap(), End::Cut);
    assert!(timeout(BOUND, client.read(&mut [0; 1])).await.unwrap().is_err());
    assert!(timeout(BOUND, server.read(&mut [0; 1])).await.unwrap().is_err());
}

#[tokio::test]
async fn a_stop_lets_the_bytes_under_way_arrive() {
    let Carried {
        mut client,
        mut server,
        relaying,
        shutdown,
        cut: _cut,
    } = carry().await;
    shutdown.send_replace(true);
    server.write_all(b"late").await.unwrap();
    let mut text = Vec::new();
    timeout(BOUND, client.read_to_end(&mut text))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(text, b"late");
    assert_eq!(timeout(BOUND, relaying).await.unwrap().unwrap(), End::InOrder);
}
