//! A fake server of Alpaca's stream, with controllable faults.

use futures_util::{SinkExt, StreamExt};
use tickwire_feeder::AlpacaConfig;
use tickwire_protocol::{
    AlpacaCommand, Control, Credentials, Encoding, ErrorCode, MessageBuf, SubscriptionSet, Tick,
    write_alpaca_subscription,
};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::{WebSocketStream, accept_hdr_async};

pub(crate) struct FakeUpstream {
    listener: TcpListener,
}

/// A connection of a relay.
pub(crate) struct Peer {
    socket: WebSocketStream<TcpStream>,
    /// The subscribed names.
    pub(crate) names: SubscriptionSet,
}

impl FakeUpstream {
    pub(crate) async fn start() -> Self {
        Self { listener: TcpListener::bind("127.0.0.1:0").await.unwrap() }
    }

    /// Returns settings of a relay of this upstream without a data timeout.
    pub(crate) fn config(&self) -> AlpacaConfig {
        let address = self.listener.local_addr().unwrap();
        let credentials = Credentials { id: "KEY".to_owned(), secret: "SECRET".to_owned() };
        let url = format!("ws://{address}/v2/sip").parse().unwrap();
        AlpacaConfig { data_timeout: None, ..AlpacaConfig::new(url, credentials) }
    }

    /// Accepts a connection and sends the greeting.
    pub(crate) async fn accept(&self) -> Peer {
        let (stream, _) = self.listener.accept().await.unwrap();
        #[expect(clippy::result_large_err, reason = "the library's callback")]
        let callback = |request: &Request, response: Response| {
            assert_eq!(request.uri(), "/v2/sip");
            assert_eq!(request.headers()["content-type"], "application/msgpack");
            let agent = request.headers()["user-agent"].to_str().unwrap();
            assert!(agent.starts_with("tickwire/"), "{agent}");
            Ok(response)
        };
        let socket = accept_hdr_async(stream, callback).await.unwrap();
        let mut peer = Peer { socket, names: SubscriptionSet::default() };
        peer.say(&Control::Connected { epoch: None }).await;
        peer
    }

    /// Accepts a connection, confirms its login, and answers its first request.
    pub(crate) async fn serve(&self) -> Peer {
        let mut peer = self.accept().await;
        peer.accept_login().await;
        peer.answer().await;
        peer
    }

    /// Answers a request with an HTTP status.
    pub(crate) async fn refuse(&self, status: u16) {
        let (stream, _) = self.listener.accept().await.unwrap();
        #[expect(clippy::result_large_err, reason = "the library's callback")]
        let callback = |_: &Request, _: Response| {
            let mut response = ErrorResponse::new(Some("no such feed".to_owned()));
            *response.status_mut() = status.try_into().unwrap();
            Err(response)
        };
        assert!(accept_hdr_async(stream, callback).await.is_err());
    }

    /// Accepts a connection and cuts it.
    pub(crate) async fn cut(&self) {
        drop(self.listener.accept().await.unwrap());
    }
}

impl Peer {
    pub(crate) async fn say(&mut self, control: &Control) {
        let mut message = Vec::new();
        control.write_message(Encoding::MsgpackMap, &mut message);
        self.send(Message::binary(message)).await;
    }

    pub(crate) async fn send(&mut self, message: Message) {
        // The relay may have gone, which the next reading tells.
        self.socket.send(message).await.ok();
    }

    pub(crate) async fn error(&mut self, code: ErrorCode) {
        self.say(&Control::Error { code, detail: None, id: None }).await;
    }

    pub(crate) async fn ticks(&mut self, ticks: &[Tick]) {
        for some in ticks.chunks(100) {
            let mut message = MessageBuf::new(Encoding::MsgpackMap);
            for tick in some {
                message.push(tick);
            }
            self.send(Message::binary(message.finish().to_vec())).await;
        }
    }

    /// Returns the relay's next command, or `None` at the end of the connection.
    pub(crate) async fn next_command(&mut self) -> Option<AlpacaCommand> {
        loop {
            match self.socket.next().await {
                Some(Ok(Message::Binary(bytes))) => {
                    let mut commands = AlpacaCommand::decode_all(&bytes, Encoding::MsgpackMap);
                    return Some(commands.next().unwrap().unwrap());
                }
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                Some(Ok(Message::Close(_)) | Err(_)) | None => return None,
                Some(other) => panic!("{other:?}"),
            }
        }
    }

    pub(crate) async fn accept_login(&mut self) {
        let Some(AlpacaCommand::Auth(shown)) = self.next_command().await else {
            panic!("no login")
        };
        assert_eq!((shown.id.as_str(), shown.secret.as_str()), ("KEY", "SECRET"));
        self.say(&Control::Authenticated).await;
    }

    /// Takes a change of subscriptions, and confirms it.
    pub(crate) async fn answer(&mut self) {
        match self.next_command().await {
            Some(AlpacaCommand::Subscribe(names)) => {
                for (channel, selection) in names.iter() {
                    for name in selection.iter() {
                        self.names[channel].add(name).unwrap();
                    }
                }
            }
            Some(AlpacaCommand::Unsubscribe(names)) => {
                for (channel, selection) in names.iter() {
                    let left = &mut self.names[channel];
                    left.all &= !selection.all;
                    left.symbols.retain(|symbol| !selection.symbols.contains(symbol));
                }
            }
            other => panic!("{other:?}"),
        }
        let mut ack = Vec::new();
        write_alpaca_subscription(&self.names, Encoding::MsgpackMap, &mut ack);
        self.send(Message::binary(ack)).await;
    }

    /// Waits until a ping is answered.
    pub(crate) async fn pong(&mut self) {
        while !matches!(self.socket.next().await, Some(Ok(Message::Pong(_)))) {}
    }

    /// Returns the names of a channel, in order.
    pub(crate) fn names(&self, channel: tickwire_protocol::Channel) -> String {
        let mut names: Vec<_> = self.names[channel].iter().collect();
        names.sort_unstable();
        names.join(" ")
    }

    /// Cuts the connection without a close frame.
    pub(crate) fn cut(self) {
        drop(self);
    }
}
