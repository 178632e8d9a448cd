//! A fake hub: the publishing side by the protocol document, with controllable faults.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use tickwire_feeder::{Pace, PublisherConfig, Speed};
use tickwire_protocol::{
    Command, Control, Encoding, ErrorCode, SourceReport, Tick, decode_publish,
};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::{WebSocketStream, accept_hdr_async};

/// Full speed with unchanged event times.
pub(crate) const AT_ONCE: Pace = Pace { speed: Speed::Max, restamp: false };

/// The state of the hub's one publisher.
pub(crate) struct FakeHub {
    listener: TcpListener,
    pub(crate) publisher: Option<String>,
    pub(crate) last: u64,
    pub(crate) mark: Option<String>,
    pub(crate) ticks: Vec<Tick>,
    /// Ticks that were reported lost at the source.
    pub(crate) lost: u64,
    /// Source reports, in order.
    pub(crate) reports: Vec<SourceReport>,
}

/// A message of the publisher.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Taken {
    Data,
    SourceReport,
    End,
}

pub(crate) struct Session(WebSocketStream<TcpStream>);

impl FakeHub {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self {
            listener,
            publisher: None,
            last: 0,
            mark: None,
            ticks: Vec::new(),
            lost: 0,
            reports: Vec::new(),
        }
    }

    /// Returns settings of a publisher to this hub. The publisher reconnects at once when the hub
    /// cuts the connection, but not because a busy machine is slow to accept or to acknowledge.
    pub(crate) fn config(&self) -> PublisherConfig {
        let address = self.listener.local_addr().unwrap();
        let mut config = PublisherConfig::new(format!("ws://{address}").parse().unwrap());
        config.backoff_max = Duration::from_millis(5);
        config.connect_timeout = Duration::from_secs(120);
        config.ack_timeout = Duration::from_secs(120);
        config
    }

    /// Answers one request with an HTTP status. Returns the request's authorization header.
    pub(crate) async fn refuse(&self, status: u16, body: &str) -> Option<String> {
        let (stream, _) = self.listener.accept().await.unwrap();
        let mut token = None;
        #[expect(clippy::result_large_err, reason = "the library's callback")]
        let callback = |request: &Request, _: Response| {
            let header = request.headers().get("authorization");
            token = header.map(|value| value.to_str().unwrap().to_owned());
            let mut response = ErrorResponse::new(Some(body.to_owned()));
            *response.status_mut() = status.try_into().unwrap();
            Err(response)
        };
        assert!(accept_hdr_async(stream, callback).await.is_err());
        token
    }

    /// Accepts a session up to the publisher's first command, without answering it.
    pub(crate) async fn accept_until_publish(&mut self) -> Session {
        let (stream, _) = self.listener.accept().await.unwrap();
        #[expect(clippy::result_large_err, reason = "the library's callback")]
        let callback = |request: &Request, response: Response| {
            assert_eq!(request.uri(), "/publish?feed=main");
            Ok(response)
        };
        let mut session = Session(accept_hdr_async(stream, callback).await.unwrap());
        session.say(&Control::Connected { epoch: Some("e".to_owned()) }).await;
        let Some(Ok(Message::Text(text))) = session.0.next().await else { panic!("no command") };
        let Ok(Command::Publish(publish)) = Command::from_json(text.as_bytes()) else {
            panic!("{text}")
        };
        let known = self.publisher.get_or_insert_with(|| publish.publisher.clone());
        assert_eq!(*known, publish.publisher, "the id stays over all sessions of a run");
        session
    }

    /// Accepts a session and answers the publisher's first command.
    pub(crate) async fn accept(&mut self) -> Session {
        let mut session = self.accept_until_publish().await;
        session.say(&Control::Publishing { last: self.last, mark: self.mark.clone() }).await;
        session
    }

    /// Takes the next data message. Returns `false` if the publisher closed.
    pub(crate) async fn take(&mut self, session: &mut Session) -> bool {
        loop {
            match self.take_any(session).await {
                Taken::Data => return true,
                Taken::SourceReport => {}
                Taken::End => return false,
            }
        }
    }

    /// Takes the next message.
    pub(crate) async fn take_any(&mut self, session: &mut Session) -> Taken {
        match session.0.next().await.unwrap().unwrap() {
            Message::Text(text) => {
                let Ok(Command::Report(report)) = Command::from_json(text.as_bytes()) else {
                    panic!("{text}")
                };
                self.reports.push(report);
                Taken::SourceReport
            }
            Message::Binary(bytes) => {
                assert!(bytes.len() <= 65_535);
                let published = decode_publish(&bytes, Encoding::MsgpackArray, 500).unwrap();
                self.last += 1;
                self.ticks.extend(published.ticks);
                self.lost += published.lost;
                self.mark = Some(published.mark.expect("every message has a mark"));
                Taken::Data
            }
            Message::Close(_) => Taken::End,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) async fn ack(&self, session: &mut Session) {
        session.say(&Control::Ack { up_to: self.last, durable: true }).await;
    }

    /// Takes and acknowledges everything until the publisher closes.
    pub(crate) async fn take_all(&mut self, session: &mut Session) {
        while self.take(session).await {
            self.ack(session).await;
        }
    }
}

impl Session {
    pub(crate) async fn say(&mut self, control: &Control) {
        let mut message = Vec::new();
        control.write_message(Encoding::MsgpackArray, &mut message);
        // The publisher may have gone, which the next reading tells.
        self.0.send(Message::binary(message)).await.ok();
    }

    pub(crate) async fn error(&mut self, code: ErrorCode, detail: &str) {
        let detail = Some(detail.to_owned());
        self.say(&Control::Error { code, detail, id: None }).await;
    }

    /// Closes the session like a hub that shuts down.
    pub(crate) async fn close(mut self, reason: &str) {
        let frame = CloseFrame { code: CloseCode::Away, reason: reason.into() };
        self.0.close(Some(frame)).await.unwrap();
        while self.0.next().await.is_some_and(|message| message.is_ok()) {}
    }

    /// Asserts that the publisher sends nothing but pongs.
    pub(crate) async fn assert_waiting(&mut self) {
        self.0.send(Message::Ping("still there?".into())).await.unwrap();
        let next = self.0.next().await.unwrap().unwrap();
        assert!(matches!(next, Message::Pong(_)), "{} bytes of data", next.len());
    }
}
