//! A few lines play the agent, in this process.

mod bounds;
mod calls;
mod giving;
mod losing;
mod tunnels;
mod waiting;

use kubewright_core::observed::Counters;
use kubewright_core::wire::frame::{Decoder, Frame, decode_message, encode_data, encode_message};
use kubewright_core::wire::{FromAgent, Reply, Request};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

use super::*;
use crate::transport::Memory;

/// The agent's end of a connection.
struct Agent {
    input: DuplexStream,
    output: DuplexStream,
    decoder: Decoder,
}

impl Agent {
    async fn frame(&mut self) -> Option<Frame> {
        let mut buffer = vec![0; 4096];
        loop {
            if let Some(frame) = self.decoder.next_frame().unwrap() {
                return Some(frame);
            }
            match self.input.read(&mut buffer).await {
                Ok(0) | Err(_) => return None,
                Ok(count) => self.decoder.push(&buffer[..count]),
            }
        }
    }

    async fn hear(&mut self) -> Option<ToAgent> {
        loop {
            match self.frame().await? {
                Frame::Message(body) => match decode_message(&body).unwrap() {
                    ToAgent::Heartbeat => {}
                    message => return Some(message),
                },
                Frame::Data { stream, .. } => panic!("data of stream {stream}"),
            }
        }
    }

    async fn request(&mut self) -> (u32, Request) {
        match self.hear().await {
            Some(ToAgent::Request { id, request }) => (id, request),
            other => panic!("no request: {other:?}"),
        }
    }

    async fn say(&mut self, message: &FromAgent) {
        let _ = self.output.write_all(&encode_message(message).unwrap()).await;
    }

    async fn data(&mut self, stream: u32, bytes: &[u8]) {
        let _ = self.output.write_all(&encode_data(stream, bytes).unwrap()).await;
    }

    async fn reply(&mut self, id: u32, reply: Reply) {
        self.say(&FromAgent::Reply { id, reply: Ok(reply) }).await;
    }

    async fn greet(&mut self) {
        assert!(matches!(self.hear().await, Some(ToAgent::Hello { .. })));
        self.say(&FromAgent::Hello {
            protocol: PROTOCOL,
            version: "1".to_owned(),
            locked_by: None,
        })
        .await;
    }

    /// Plays the rest of an inspection.
    async fn inspected(&mut self) {
        let (id, request) = self.request().await;
        assert!(matches!(request, Request::Inspect { .. }));
        let reply = Reply::Inspected {
            differences: Vec::new(),
            counters: Counters::default(),
        };
        self.reply(id, reply).await;
    }
}

fn transport<F>(play: impl Fn(Agent) -> F + Send + Sync + 'static) -> Memory
where
    F: Future<Output = ()> + Send + 'static,
{
    Memory::new("n1".parse().unwrap(), move |input, output| {
        tokio::spawn(play(Agent {
            input,
            output,
            decoder: Decoder::default(),
        }));
    })
}

fn introduction() -> Introduction {
    Introduction {
        run: "run-1".to_owned(),
        cluster: "prod".to_owned(),
        operator: "ada@workstation".to_owned(),
        lock: true,
    }
}

/// Connects to an agent that greets and then plays.
async fn talk<F>(play: impl Fn(Agent) -> F + Send + Sync + Clone + 'static) -> Node
where
    F: Future<Output = ()> + Send + 'static,
{
    talk_with(Timing::default(), play).await
}

async fn talk_with<F>(timing: Timing, play: impl Fn(Agent) -> F + Send + Sync + Clone + 'static) -> Node
where
    F: Future<Output = ()> + Send + 'static,
{
    let transport = transport(move |mut agent| {
        let play = play.clone();
        async move {
            agent.greet().await;
            play(agent).await;
        }
    });
    Node::connect_with(&transport, &introduction(), LockWait::none(), timing)
        .await
        .unwrap()
}

fn quiet() -> Progress {
    Arc::new(|_, _| {})
}
