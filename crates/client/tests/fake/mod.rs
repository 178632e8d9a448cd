//! A hub whose messages a test chooses.

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

/// Listens on a free port.
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

    /// Accepts the next subscriber and sends it the epoch.
    pub async fn accept(&self, epoch: &str) -> Session {
        let (stream, _) = self.listener.accept().await.unwrap();
        Session::welcome(stream, epoch).await
    }

    /// Accepts the next subscriber, sends it the epoch, and returns its header `Authorization`.
    pub async fn accept_with_key(&self, epoch: &str) -> (Session, Option<String>) {
        let (stream, _) = self.listener.accept().await.unwrap();
        let mut authorization = None;
        let accepted = tokio_tungstenite::accept_hdr_async(
            stream,
            #[expect(clippy::result_large_err, reason = "the signature is the library's")]
            |request: &Request, response: Response| {
                let value = request.headers().get(AUTHORIZATION);
                authorization = value.map(|value| value.to_str().unwrap().to_owned());
                accept_subprotocol(request, response)
            },
        );
        let mut session = Session { socket: accepted.await.unwrap() };
        session.send(&Control::Connected { epoch: Some(epoch.to_owned()) }).await;
        (session, authorization)
    }

    /// Accepts the next TCP connection, without a handshake.
    pub async fn accept_tcp(&self) -> TcpStream {
        self.listener.accept().await.unwrap().0
    }
}

/// The session of one subscriber.
pub struct Session {
    socket: WebSocketStream<TcpStream>,
}

#[expect(clippy::result_large_err, reason = "the signature is the library's")]
fn accept_subprotocol(
    request: &Request,
    mut response: Response,
) -> Result<Response, ErrorResponse> {
    let requested = request.headers()[&SEC_WEBSOCKET_PROTOCOL].clone();
    response.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, requested);
    Ok(response)
}

impl Session {
    async fn welcome(stream: TcpStream, epoch: &str) -> Self {
        let socket = tokio_tungstenite::accept_hdr_async(stream, accept_subprotocol).await.unwrap();
        let mut session = Self { socket };
        session.send(&Control::Connected { epoch: Some(epoch.to_owned()) }).await;
        session
    }

    /// Reads the next command, which must be a subscribe, and answers it.
    pub async fn answer_subscribe(&mut self) -> SubscribeRequest {
        self.answer_subscribe_at(None, None).await
    }

    /// Reads the next command, which must be a subscribe, and answers it with a position.
    pub async fn answer_subscribe_at(
        &mut self,
        pos: Option<u64>,
        resumed: Option<ResumeOutcome>,
    ) -> SubscribeRequest {
        let Some(Ok(Message::Text(text))) = self.socket.next().await else {
            panic!("the client sends no command")
        };
        let Ok(Command::Subscribe(command)) = Command::from_json(text.as_bytes()) else {
            panic!("not a subscribe: {text}")
        };
        let names = Box::new(command.names.clone());
        let total = tickwire_client::PerChannel::default();
        let answer = Control::Subscription {
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
        self.send(&answer).await;
        command
    }

    /// Sends a control element.
    pub async fn send(&mut self, control: &Control) {
        let mut bytes = Vec::new();
        control.write_message(Encoding::MsgpackArray, &mut bytes);
        self.socket.send(Message::binary(bytes)).await.unwrap();
    }

    /// Sends trades of a symbol, with these sequence numbers, in one message.
    pub async fn send_trades(&mut self, symbol: &str, seqs: &[u64], time: UnixNanos) {
        self.send_trades_to_position(symbol, seqs, time, None).await;
    }

    /// Sends trades of a symbol and the position after them in one message.
    pub async fn send_trades_to_position(
        &mut self,
        symbol: &str,
        seqs: &[u64],
        time: UnixNanos,
        pos: Option<u64>,
    ) {
        let mut message = MessageBuf::new(Encoding::MsgpackArray);
        for seq in seqs {
            let symbol = Symbol::new(symbol).unwrap();
            let data = TickData::Trade(Trade::default());
            message.push(&Tick { symbol, seq: Seq(*seq), time, data });
        }
        pos.into_iter().for_each(|pos| message.push_position(pos));
        self.socket.send(Message::binary(message.finish().to_vec())).await.unwrap();
    }

    /// Closes the connection and waits until the client has done so.
    pub async fn close(self, code: u16) {
        self.close_with_reason(code, "test").await;
    }

    pub async fn close_with_reason(mut self, code: u16, reason: &'static str) {
        let frame = CloseFrame { code: code.into(), reason: reason.into() };
        self.socket.close(Some(frame)).await.unwrap();
        while let Some(Ok(_)) = self.socket.next().await {}
    }

    /// Reads until the client has closed the connection.
    pub async fn read_to_end(&mut self) {
        while let Some(Ok(_)) = self.socket.next().await {}
    }
}
