//! What the proxy tells about itself, and its bounds.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::super::accept;
use super::super::members::Standing;
use super::super::pool::Pool;
use super::super::timing::Timing;
use super::fake_api::FakeApi;
use super::fixture::{Fixture, name, within};

async fn ask(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut text = String::new();
    within(stream.read_to_string(&mut text)).await.unwrap();
    text
}

#[tokio::test]
async fn shows_metrics_state_and_health() {
    let fixture = Fixture::new();
    let api = FakeApi::start(&fixture.authority, "api").await;
    let proxy = fixture.start(&fixture.config(&[api.address])).await;
    proxy.wait_ready(api.address).await;
    let mut client = within(fixture.client(proxy.address)).await;
    within(name(&mut client)).await.unwrap();

    let metrics = ask(proxy.admin, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert!(metrics.starts_with("HTTP/1.1 200 OK\r\n"), "{metrics}");
    let ready = format!(
        "\nkubewright_proxy_backend_ready{{backend=\"{}\"}} 1\n",
        api.address
    );
    assert!(metrics.contains(&ready), "{metrics}");
    assert!(
        metrics.contains("\nkubewright_proxy_connections 1\n"),
        "{metrics}"
    );

    let state = ask(proxy.admin, "GET /state HTTP/1.1\r\nHost: x\r\n\r\n").await;
    let body = state.split_once("\r\n\r\n").unwrap().1;
    let state: serde_json::Value = serde_json::from_str(body).unwrap();
    assert_eq!(state["ready"], true);
    assert_eq!(state["backends"][0]["address"], api.address.to_string());
    assert_eq!(state["backends"][0]["health"], "ready");
    assert_eq!(state["backends"][0]["connections"], 1);

    let healthz = ask(proxy.admin, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert!(healthz.ends_with("\r\n\r\nok\n"), "{healthz}");
    assert!(
        ask(proxy.admin, "GET /nothing HTTP/1.1\r\n\r\n")
            .await
            .starts_with("HTTP/1.1 404")
    );
    assert!(
        ask(proxy.admin, "POST /state HTTP/1.1\r\n\r\n")
            .await
            .starts_with("HTTP/1.1 405")
    );
}

#[tokio::test]
async fn closes_connections_beyond_its_limit_at_once() {
    let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let pool = Arc::new(Pool::new(
        None,
        1,
        Timing {
            first_checks: std::time::Duration::ZERO,
            ..Timing::default()
        },
    ));
    pool.set(&[(server.local_addr().unwrap(), Standing::Member)].into());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = watch::channel(false);
    let serving = tokio::spawn(accept::serve(listener, Arc::clone(&pool), 1, stopped));
    let _first = TcpStream::connect(address).await.unwrap();
    let _carried = within(server.accept()).await.unwrap();
    let mut second = TcpStream::connect(address).await.unwrap();
    assert_eq!(within(second.read(&mut [0; 1])).await.unwrap_or(0), 0);
    stop.send_replace(true);
    within(serving).await.unwrap();
}
