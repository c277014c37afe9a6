//! One connection, and whether another request may follow on it.

use super::*;
use tokio::io::duplex;

/// Lets a server that has already said `answer` and closed be asked once.
async fn ask(answer: &[u8]) -> (Result<Response, HttpError>, bool) {
    let (client, mut server) = duplex(1 << 20);
    server.write_all(answer).await.unwrap();
    server.shutdown().await.unwrap();
    let mut connection = HttpConnection::new(client, "kubernetes");
    let response = connection.get("/readyz", 16).await;
    (response, connection.is_reusable())
}

#[tokio::test]
async fn a_whole_answer_keeps_the_connection() {
    let (response, is_reusable) = ask(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
    assert_eq!(response.unwrap().body, b"ok");
    assert!(is_reusable);
}

#[tokio::test]
async fn an_answer_that_ends_with_the_connection_does_not() {
    let (response, is_reusable) = ask(b"HTTP/1.0 200 OK\r\n\r\nhello").await;
    assert_eq!(response.unwrap().body, b"hello");
    assert!(!is_reusable);
}

#[tokio::test]
async fn an_answer_cut_short_is_an_error_and_the_end_of_the_connection() {
    let (response, is_reusable) = ask(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab").await;
    assert!(matches!(response, Err(HttpError::Answer(_))));
    assert!(!is_reusable);
}
