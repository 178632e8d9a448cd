//! A hub's publishing side by the protocol document, which can lose its latest state.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use futures_util::{SinkExt, StreamExt};
use rand::rngs::Xoshiro256PlusPlus as Random;
use rand::{RngExt, SeedableRng};
use tickwire_protocol::{Command, Control, Encoding, PublishedMessage, Tick, decode_publish};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{WebSocketStream, accept_async};

/// Elements that a hub received, in order.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Received {
    Tick(Tick),
    Lost(u64),
}

/// Dropping it ends the server.
pub(crate) struct StrictHub {
    pub(crate) address: SocketAddr,
    state: Arc<Mutex<State>>,
    accepting: AbortHandle,
}

/// The state of the hub's one publisher.
#[derive(Default)]
struct State {
    last: u64,
    mark: Option<String>,
    received: Vec<Received>,
    /// Number of the newest session. Messages of older sessions are ignored.
    session: u64,
    durable: DurableState,
    random: Option<Random>,
}

/// The state that survives a data loss.
#[derive(Clone, Default)]
struct DurableState {
    last: u64,
    mark: Option<String>,
    /// The number of received elements.
    received: usize,
}

impl StrictHub {
    pub(crate) async fn start(seed: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let random = Some(Random::seed_from_u64(seed));
        let state = Arc::new(Mutex::new(State { random, ..State::default() }));
        let sessions = state.clone();
        let accepting = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(serve(stream, sessions.clone()));
            }
        });
        Self { address, state, accepting: accepting.abort_handle() }
    }

    /// Simulates a failure of the machine: restores the durable state and ends all sessions.
    /// Returns whether elements were lost.
    pub(crate) fn lose_end(&self) -> bool {
        let mut state = self.state.lock().unwrap();
        let durable = state.durable.clone();
        if durable.mark.is_none() || durable.received == state.received.len() {
            return false;
        }
        state.last = durable.last;
        state.mark = durable.mark;
        state.received.truncate(durable.received);
        state.session += 1;
        true
    }

    /// Makes the current state durable.
    pub(crate) fn keep(&self) {
        let mut state = self.state.lock().unwrap();
        let mark = state.mark.clone();
        let received = state.received.len();
        state.durable = DurableState { last: state.last, mark, received };
    }

    pub(crate) fn last(&self) -> u64 {
        self.state.lock().unwrap().last
    }

    pub(crate) fn received(&self) -> Vec<Received> {
        self.state.lock().unwrap().received.clone()
    }
}

impl Drop for StrictHub {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl State {
    /// Takes a message unless its session was replaced. Returns whether to acknowledge now.
    fn take(&mut self, session: u64, message: &[u8]) -> Option<bool> {
        if session != self.session {
            return None;
        }
        let decoded = decode_publish(message, Encoding::MsgpackArray, 500).expect("well formed");
        let PublishedMessage { ticks, mark, lost } = decoded;
        assert!(!ticks.is_empty() || lost > 0, "a message says something");
        self.last += 1;
        self.mark = Some(mark.expect("every message has a mark"));
        self.received.extend((lost > 0).then_some(Received::Lost(lost)));
        self.received.extend(ticks.into_iter().map(Received::Tick));
        self.random.as_mut().map(|random| random.random_bool(0.3))
    }
}

/// Serves one session until it ends in any way.
async fn serve(stream: TcpStream, state: Arc<Mutex<State>>) -> Option<()> {
    stream.set_nodelay(true).ok()?;
    let mut socket = accept_async(stream).await.ok()?;
    say(&mut socket, &Control::Connected { epoch: Some("e".to_owned()) }).await?;
    let Message::Text(command) = socket.next().await?.ok()? else { panic!("no command") };
    assert!(matches!(Command::from_json(command.as_bytes()), Ok(Command::Publish(_))));
    let (session, answer) = {
        let mut state = state.lock().unwrap();
        state.session += 1;
        (state.session, Control::Publishing { last: state.last, mark: state.mark.clone() })
    };
    say(&mut socket, &answer).await?;
    loop {
        let owed = state.lock().unwrap().last;
        let message = tokio::select! {
            message = socket.next() => message?.ok()?,
            // Whatever has been taken is acknowledged soon.
            () = tokio::time::sleep(std::time::Duration::from_millis(2)) => {
                say(&mut socket, &Control::Ack { up_to: owed, durable: true }).await?;
                continue;
            }
        };
        match message {
            Message::Binary(message) => {
                let (ack, up_to) = {
                    let mut state = state.lock().unwrap();
                    (state.take(session, &message)?, state.last)
                };
                if ack {
                    say(&mut socket, &Control::Ack { up_to, durable: true }).await?;
                }
            }
            Message::Close(_) => {
                socket.close(None).await.ok();
                return None;
            }
            other => panic!("{other:?}"),
        }
    }
}

async fn say(socket: &mut WebSocketStream<TcpStream>, control: &Control) -> Option<()> {
    let mut message = Vec::new();
    control.write_message(Encoding::MsgpackArray, &mut message);
    socket.send(Message::binary(message)).await.ok()
}
