//! A hub that does what a test tells it.

#![expect(dead_code, unreachable_pub, reason = "each test file uses a part of this")]
#![expect(clippy::unwrap_used, reason = "part of tests")]

use futures_util::{SinkExt, StreamExt};
use tickwire_client::{Encoding, ResumeOutcome, Seq, Symbol, Tick, TickData, Trade, UnixNanos};
use tickwire_protocol::{Command, Control, MessageBuf, SubscribeRequest};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::http::header::{AUTHORIZATION, SEC_WEBSOCKET_PROTOCOL};
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Message};

/// Listens on a port of its own.
pub struct FakeHub {
    listener: TcpListener,
}

impl FakeHub {
    pub async fn start() -> Self {
        Self { listener: TcpListener::bind("127.0.0.1:0").await.unwrap() }
    }

    pub fn url(&self) -> String {
        format!("ws://{}", self.listener.local_addr().unwrap())
    }

    /// The next subscriber, greeted.
    pub async fn accept(&self, epoch: &str) -> Session {
        let (stream, _) = self.listener.accept().await.unwrap();
        Session::greet(stream, epoch).await
    }

    /// The next subscriber, greeted, and what it shows to be let in.
    pub async fn accept_with_key(&self, epoch: &str) -> (Session, Option<String>) {
        let (stream, _) = self.listener.accept().await.unwrap();
        let mut shown = None;
        let accepted = tokio_tungstenite::accept_hdr_async(
            stream,
            #[expect(clippy::result_large_err, reason = "the signature is the library's")]
            |request: &Request, response: Response| {
                let value = request.headers().get(AUTHORIZATION);
                shown = value.map(|value| value.to_str().unwrap().to_owned());
                accept_subprotocol(request, response)
            },
        );
        let mut session = Session { socket: accepted.await.unwrap() };
        session.say(&Control::Connected { epoch: Some(epoch.to_owned()) }).await;
        (session, shown)
    }

    /// The next connection, bare.
    pub async fn accept_bare(&self) -> TcpStream {
        self.listener.accept().await.unwrap().0
    }
}

/// One subscriber.
pub struct Session {
    socket: WebSocketStream<TcpStream>,
}

#[expect(clippy::result_large_err, reason = "the signature is the library's")]
fn accept_subprotocol(
    request: &Request,
    mut response: Response,
) -> Result<Response, ErrorResponse> {
    let asked = request.headers()[&SEC_WEBSOCKET_PROTOCOL].clone();
    response.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, asked);
    Ok(response)
}

impl Session {
    pub async fn greet(stream: TcpStream, epoch: &str) -> Self {
        let socket = tokio_tungstenite::accept_hdr_async(stream, accept_subprotocol).await.unwrap();
        let mut session = Self { socket };
        session.say(&Control::Connected { epoch: Some(epoch.to_owned()) }).await;
        session
    }

    /// The next command, which must be a subscribe; it is acknowledged.
    pub async fn subscribed(&mut self) -> SubscribeRequest {
        self.begun(None, None).await
    }

    /// The next command, which must be a subscribe; its names begin behind a position.
    pub async fn begun(
        &mut self,
        pos: Option<u64>,
        resumed: Option<ResumeOutcome>,
    ) -> SubscribeRequest {
        let Some(Ok(Message::Text(text))) = self.socket.next().await else {
            panic!("the client does not subscribe")
        };
        let Ok(Command::Subscribe(command)) = Command::from_json(text.as_bytes()) else {
            panic!("no subscribe: {text}")
        };
        let names = Box::new(command.names.clone());
        let total = tickwire_client::PerChannel::default();
        let ack = Control::Subscription {
            id: command.id,
            names,
            total,
            delivery: command.delivery,
            on_lag: command.on_lag.unwrap_or_default(),
            modes: Vec::new(),
            pos,
            resumed,
            from: None,
        };
        self.say(&ack).await;
        command
    }

    pub async fn say(&mut self, control: &Control) {
        let mut bytes = Vec::new();
        control.write_message(Encoding::MsgpackArray, &mut bytes);
        self.socket.send(Message::binary(bytes)).await.unwrap();
    }

    /// Trades of one symbol, with these numbers, in one message.
    pub async fn trades(&mut self, symbol: &str, seqs: &[u64], time: UnixNanos) {
        self.positioned(symbol, seqs, time, None).await;
    }

    /// Trades of one symbol, and the position behind them.
    pub async fn positioned(
        &mut self,
        symbol: &str,
        seqs: &[u64],
        time: UnixNanos,
        pos: Option<u64>,
    ) {
        let mut message = MessageBuf::new(Encoding::MsgpackArray);
        for seq in seqs {
            let (symbol, data) = (Symbol::new(symbol).unwrap(), TickData::Trade(Trade::default()));
            message.push(&Tick { symbol, seq: Seq(*seq), time, data });
        }
        pos.into_iter().for_each(|pos| message.push_position(pos));
        self.socket.send(Message::binary(message.finish().to_vec())).await.unwrap();
    }

    pub async fn close(self, code: u16) {
        self.close_because(code, "told to").await;
    }

    pub async fn close_because(mut self, code: u16, reason: &'static str) {
        let frame = CloseFrame { code: code.into(), reason: reason.into() };
        self.socket.close(Some(frame)).await.unwrap();
        while let Some(Ok(_)) = self.socket.next().await {}
    }

    /// Reads until the client has gone.
    pub async fn until_gone(&mut self) {
        while let Some(Ok(_)) = self.socket.next().await {}
    }
}
