//! Connections to ports of a node, through its connection.

use super::*;

#[tokio::test]
async fn carries_connections_both_ways_until_each_side_ends() {
    let node = talk(|mut agent| async move {
        let Some(ToAgent::OpenTunnel { stream, address }) = agent.hear().await else {
            panic!("no tunnel");
        };
        assert_eq!(address, "127.0.0.1:6443");
        agent.say(&FromAgent::Tunnel { stream, error: None }).await;
        loop {
            match agent.frame().await.unwrap() {
                Frame::Data { bytes, .. } if bytes.is_empty() => break,
                Frame::Data { bytes, .. } => agent.data(stream, &bytes.to_ascii_uppercase()).await,
                Frame::Message(body) => panic!("{body:?}"),
            }
        }
        agent.data(stream, b" BYE").await;
        agent.data(stream, b"").await;
        agent.hear().await;
    })
    .await;
    let forward = node.forward("127.0.0.1:6443").await.unwrap();
    let mut connection = tokio::net::TcpStream::connect(forward.address()).await.unwrap();
    connection.write_all(b"hello").await.unwrap();
    connection.shutdown().await.unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).await.unwrap();
    assert_eq!(answer, "HELLO BYE");
}

#[tokio::test]
async fn tells_why_a_tunnel_cannot_be_opened() {
    let node = talk(|mut agent| async move {
        let Some(ToAgent::OpenTunnel { stream, .. }) = agent.hear().await else {
            panic!("no tunnel");
        };
        let error = Some("connection refused".to_owned());
        agent.say(&FromAgent::Tunnel { stream, error }).await;
        agent.hear().await;
    })
    .await;
    let error = node.open_tunnel("127.0.0.1:2379").await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "node n1: connect to 127.0.0.1:2379: connection refused"
    );
}

#[tokio::test]
async fn a_tunnel_that_nobody_reads_holds_up_the_rest_only_for_a_while() {
    let node = talk(|mut agent| async move {
        let Some(ToAgent::OpenTunnel { stream, .. }) = agent.hear().await else {
            panic!("no tunnel");
        };
        agent.say(&FromAgent::Tunnel { stream, error: None }).await;
        let (id, _) = agent.request().await;
        for _ in 0..64 {
            agent.data(stream, &vec![0; 64 << 10]).await;
        }
        agent.data(stream, b"").await;
        agent.reply(id, Reply::Done {}).await;
        agent.hear().await;
    })
    .await;
    let tunnel = node.open_tunnel("127.0.0.1:6443").await.unwrap();
    node.mark_bootstrapped().await.unwrap();
    drop(tunnel);
}
