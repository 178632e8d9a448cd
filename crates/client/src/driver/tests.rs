//! The driver over pipes in memory, with tokio's paused clock.

use std::sync::Mutex;

use futures_util::{FutureExt, SinkExt};
use tickwire_protocol::{
    Channel, Command, Control, MessageBuf, Replay, ReplaySpeed, ReplayStart, Seq, Symbol, Tick,
    TickData, Trade, UnixNanos,
};
use tokio::io::DuplexStream;
use tokio_tungstenite::MaybeTlsStream;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

use super::*;
use crate::connect::{Connection, handshake};
use crate::{Builder, Client, ConnectError, ReplayError, names};

/// Connects over pipes, and sends the hub's end of each to a channel.
struct PipeConnector {
    hubs: mpsc::Sender<WebSocketStream<DuplexStream>>,
    attempts: Mutex<usize>,
    /// Whether the first attempt to reconnect is refused.
    refuses_once: Mutex<bool>,
}

type Hubs = mpsc::Receiver<WebSocketStream<DuplexStream>>;

impl PipeConnector {
    fn new(refuses_once: bool) -> (Self, Hubs) {
        let (hubs, accepted) = mpsc::channel(4);
        let connector =
            Self { hubs, attempts: Mutex::new(0), refuses_once: Mutex::new(refuses_once) };
        (connector, accepted)
    }
}

/// Connects a client with these settings. Returns the hub's ends of its connections.
async fn connect(builder: Builder) -> (Client, Hubs) {
    connect_by(builder, false).await
}

async fn connect_by(builder: Builder, refuses_once: bool) -> (Client, Hubs) {
    let (connector, hubs) = PipeConnector::new(refuses_once);
    (Client::connect(builder, connector).await.unwrap(), hubs)
}

fn builder() -> Builder {
    Client::builder("ws://hub")
}

impl Connector for PipeConnector {
    type Stream = MaybeTlsStream<DuplexStream>;

    async fn connect(&self) -> Result<Connection<Self::Stream>, ConnectError> {
        let attempt = {
            let mut attempts = self.attempts.lock().unwrap();
            *attempts += 1;
            *attempts
        };
        if attempt > 1 && std::mem::take(&mut *self.refuses_once.lock().unwrap()) {
            return Err(ConnectError::Refused {
                hub: "pipe".to_owned(),
                status: 503,
                message: String::new(),
            });
        }
        let (client, hub) = tokio::io::duplex(4096);
        let accept = tokio_tungstenite::accept_hdr_async(hub, accept_subprotocol);
        let (client, hub) = tokio::join!(
            handshake(client, "ws://hub/ws?feed=main", "hub", Encoding::MsgpackArray, None, None),
            accept
        );
        assert!(self.hubs.send(hub.unwrap()).await.is_ok(), "the test has ended");
        client.map(|socket| Connection { socket, received: Vec::new() })
    }
}

#[expect(clippy::result_large_err, reason = "the signature is the library's")]
fn accept_subprotocol(
    request: &tungstenite::handshake::server::Request,
    mut response: tungstenite::handshake::server::Response,
) -> Result<tungstenite::handshake::server::Response, tungstenite::handshake::server::ErrorResponse>
{
    let name = tungstenite::http::header::SEC_WEBSOCKET_PROTOCOL;
    let requested = request.headers()[&name].clone();
    response.headers_mut().insert(name, requested);
    Ok(response)
}

fn control_message(control: &Control) -> Message {
    let mut bytes = Vec::new();
    control.write_message(Encoding::MsgpackArray, &mut bytes);
    Message::binary(bytes)
}

fn tick_message(seq: u64) -> Message {
    let symbol = Symbol::new("A").unwrap();
    let data = TickData::Trade(Trade::default());
    let mut message = MessageBuf::new(Encoding::MsgpackArray);
    message.push(&Tick { symbol, seq: Seq(seq), time: UnixNanos(1), data });
    Message::binary(message.finish().to_vec())
}

#[tokio::test(start_paused = true)]
async fn connection_is_given_up_after_two_and_a_half_silent_heartbeats() {
    let started = now();
    let (mut client, mut hubs) = connect(builder()).await;
    let mut first = hubs.recv().await.unwrap();
    tokio::time::sleep(Duration::from_secs(30)).await;
    first
        .send(control_message(&Control::Heartbeat { time: UnixNanos(0), pos: None }))
        .await
        .unwrap();
    let Some(Event::Disconnected { reason: Disconnect::Silent { after }, retry_in: Some(_) }) =
        client.next().await
    else {
        panic!("the connection is not given up")
    };
    assert_eq!(after, Duration::from_millis(37_500));
    assert_eq!(now() - started, Duration::from_millis(67_500));
    assert!(hubs.recv().await.is_some(), "the client reconnects");
}

#[tokio::test(start_paused = true)]
async fn suspension_of_the_process_is_not_silence_of_the_hub() {
    let (mut client, mut hubs) = connect(builder()).await;
    let mut hub = hubs.recv().await.unwrap();
    for seq in 1..=3 {
        tokio::time::advance(Duration::from_secs(62)).await;
        // The timer of the silence runs before the messages of that time can be read.
        tokio::time::sleep(Duration::from_secs(1)).await;
        hub.send(tick_message(seq)).await.unwrap();
        let event = client.next().await;
        assert!(matches!(event, Some(Event::Tick { .. })), "{event:?}");
    }
    tokio::time::advance(Duration::from_secs(62)).await;
    let resumed = now();
    let event = client.next().await;
    assert!(
        matches!(event, Some(Event::Disconnected { reason: Disconnect::Silent { .. }, .. })),
        "{event:?}"
    );
    assert!(
        now() - resumed <= SUSPENSION_GRACE + Duration::from_secs(1),
        "a hub that stays silent is given up soon"
    );
}

#[tokio::test(start_paused = true)]
async fn pause_of_the_application_is_not_silence_of_the_hub() {
    let (mut client, mut hubs) = connect(builder().buffer_messages(1)).await;
    let mut hub = hubs.recv().await.unwrap();
    for seq in 1..=3 {
        hub.send(tick_message(seq)).await.unwrap();
    }
    tokio::time::sleep(Duration::from_secs(60)).await;
    for seq in 1..=3 {
        let event = client.next().await;
        assert!(matches!(&event, Some(Event::Tick { tick, .. }) if tick.seq.0 == seq), "{event:?}");
    }
    hub.send(tick_message(4)).await.unwrap();
    let event = client.next().await;
    assert!(matches!(event, Some(Event::Tick { .. })), "{event:?}");
}

#[tokio::test(start_paused = true)]
async fn client_stops_reading_while_events_are_unread() {
    let buffer = 2;
    let (mut client, mut hubs) = connect(builder().buffer_messages(buffer)).await;
    let mut hub = hubs.recv().await.unwrap();
    // Each message is larger than the pipe, so the client has read every message that was sent.
    let padded = |seq| {
        let Message::Binary(bytes) = tick_message(seq) else {
            unreachable!("ticks are binary here")
        };
        let mut bytes = bytes.to_vec();
        let mut many = vec![0xdc, 0, 200];
        let element = bytes.split_off(3);
        for _ in 0..200 {
            many.extend_from_slice(&element);
        }
        Message::binary(many)
    };
    let mut sent = 0_u64;
    while tokio::time::timeout(Duration::from_secs(1), hub.send(padded(sent + 1))).await.is_ok() {
        sent += 1;
        assert!(sent < 1000, "the client reads without limit");
    }
    // The buffer, the message being delivered, and the library's read buffer of 64 KiB.
    let message_bytes = padded(1).len() as u64;
    let bound = buffer as u64 + 1 + (64 << 10) / message_bytes + 1;
    assert!((buffer as u64..=bound).contains(&sent), "{sent} messages, {bound} expected at most");
    assert!(client.next().await.is_some());
}

#[tokio::test(start_paused = true)]
async fn ceiling_of_delays_grows_with_each_failed_attempt() {
    let backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(8));
    let (mut client, mut hubs) = connect_by(builder().backoff(Some(backoff)), true).await;
    drop(hubs.recv().await.unwrap());
    let mut delays = Vec::new();
    while delays.len() < 2 {
        match client.next().await.unwrap() {
            Event::Disconnected { retry_in, .. } => delays.push(retry_in.unwrap()),
            other => panic!("{other:?}"),
        }
    }
    assert!(delays[0] <= Duration::from_secs(1), "{delays:?}");
    assert!(delays[1] <= Duration::from_secs(2), "{delays:?}");
    assert!(hubs.recv().await.is_some());
}

#[tokio::test(start_paused = true)]
async fn client_waits_as_long_as_the_closing_hub_requests() {
    let (mut client, mut hubs) = connect(builder()).await;
    let closed = now();
    let reason = "shutdown retry_ms=2500".into();
    let frame = CloseFrame { code: 1001.into(), reason };
    hubs.recv().await.unwrap().close(Some(frame)).await.unwrap();
    let Some(Event::Disconnected { retry_in: Some(delay), .. }) = client.next().await else {
        panic!("the client does not reconnect")
    };
    let least = Duration::from_millis(2500);
    let most = Duration::from_millis(3500);
    assert!((least..=most).contains(&delay), "{delay:?}");
    assert!(hubs.recv().await.is_some());
    assert!(now() - closed >= delay, "{:?}", now() - closed);
}

#[tokio::test(start_paused = true)]
async fn stream_ends_with_the_connection_when_reconnecting_is_off() {
    let (mut client, mut hubs) = connect(builder().backoff(None)).await;
    let mut hub = hubs.recv().await.unwrap();
    hub.close(None).await.unwrap();
    let event = client.next().await;
    let closed = matches!(
        event,
        Some(Event::Disconnected { reason: Disconnect::Closed { .. }, retry_in: None })
    );
    assert!(closed, "{event:?}");
    assert!(client.next().await.is_none());
    assert!(client.next().await.is_none());
    let names = names(&[Channel::Trades], ["A"]).unwrap();
    assert_eq!(client.subscribe(names).await, Err(crate::ClientEnded));
}

#[tokio::test(start_paused = true)]
async fn full_buffer_does_not_block_commands() {
    let (mut client, mut hubs) = connect(builder().buffer_messages(1)).await;
    let mut hub = hubs.recv().await.unwrap();
    for seq in 1..=3 {
        hub.send(tick_message(seq)).await.unwrap();
    }
    for _ in 0..50 {
        client.subscribe(names(&[Channel::Trades], ["A"]).unwrap()).await.unwrap();
    }
    for _ in 0..50 {
        assert!(matches!(hub.next().await, Some(Ok(Message::Text(_)))));
    }
}

#[tokio::test(start_paused = true)]
async fn close_sends_a_close_frame_and_waits_for_the_end() {
    let (client, mut hubs) = connect(builder()).await;
    let mut hub = hubs.recv().await.unwrap();
    let closing = client.close();
    tokio::pin!(closing);
    assert!(closing.as_mut().now_or_never().is_none());
    assert!(matches!(hub.next().await, Some(Ok(Message::Close(None)))));
    assert!(hub.next().await.is_none());
    closing.await;
}

#[tokio::test(start_paused = true)]
async fn hub_that_reads_commands_one_by_one_gets_all_of_them() {
    let backoff = Backoff::new(Duration::from_millis(1), Duration::from_millis(2));
    let (mut client, mut hubs) = connect(builder().backoff(Some(backoff))).await;
    let symbols: Vec<String> = (0..60_000).map(|n| format!("S{n}")).collect();
    let all = names(&[Channel::Trades], symbols.iter().map(String::as_str)).unwrap();
    client.subscribe(all).await.unwrap();
    let reading = tokio::spawn(async move {
        let mut answered = Vec::new();
        while answered.len() < 6 {
            match client.next().await.unwrap() {
                Event::Subscribed { names, .. } => answered.push(names.total()),
                Event::Disconnected { reason: Disconnect::Lost(why), .. }
                    if answered.len() != 3 =>
                {
                    panic!("{why} after {answered:?}")
                }
                _ => {}
            }
        }
        answered
    });
    for _ in 0..2 {
        let mut hub = hubs.recv().await.unwrap();
        for _ in 0..3 {
            let Some(Ok(Message::Text(command))) = hub.next().await else {
                panic!("the client sends no command")
            };
            hub.send(answer(&command)).await.unwrap();
        }
    }
    assert_eq!(reading.await.unwrap(), [20_000; 6]);
}

#[tokio::test(start_paused = true)]
async fn hub_that_neither_reads_nor_writes_is_given_up() {
    let (mut client, mut hubs) = connect(builder()).await;
    let _hub = hubs.recv().await.unwrap();
    let symbols: Vec<String> = (0..10_000).map(|n| format!("S{n}")).collect();
    let many = names(&[Channel::Trades], symbols.iter().map(String::as_str)).unwrap();
    let requested_at = now();
    client.subscribe(many).await.unwrap();
    let event = client.next().await;
    let lost = matches!(&event, Some(Event::Disconnected { reason: Disconnect::Lost(_), .. }));
    assert!(lost, "{event:?}");
    assert_eq!(now() - requested_at, WRITE_TIMEOUT);
}

#[tokio::test(start_paused = true)]
async fn replay_with_too_many_names_for_one_command_is_not_sent() {
    let (mut client, mut hubs) = connect(builder()).await;
    let mut hub = hubs.recv().await.unwrap();
    let symbols: Vec<String> = (0..100_000).map(|n| format!("SYMBOL{n}")).collect();
    let all = names(&[Channel::Trades], symbols.iter().map(String::as_str)).unwrap();
    let from = ReplayStart::Ago(Duration::from_secs(60));
    let at_original_speed = Replay { from, speed: ReplaySpeed::factor(1.0).unwrap() };
    let error = client.subscribe_from(all.clone(), at_original_speed).await.unwrap_err();
    let ReplayError::TooLong { names, bytes, bytes_max } = error else { panic!("{error}") };
    assert_eq!((names, bytes_max), (100_000, 1 << 20));
    assert!(error.to_string().contains(&bytes.to_string()), "{error}");
    assert_eq!(client.subscribe_from(all, Replay { from, speed: ReplaySpeed::Max }).await, Ok(1));
    let Some(Ok(Message::Text(first))) = hub.next().await else { panic!("nothing is sent") };
    assert!(!first.contains("speed"), "{}", &first[..100]);
}

/// Returns the hub's answer to a subscribe.
fn answer(command: &str) -> Message {
    let Ok(Command::Subscribe(command)) = Command::from_json(command.as_bytes()) else {
        panic!("no subscribe: {command}")
    };
    control_message(&Control::Subscription {
        id: command.id,
        names: Box::new(command.names),
        total: tickwire_protocol::PerChannel::default(),
        delivery: command.delivery,
        on_lag: command.on_lag.unwrap_or_default(),
        modes: Vec::new(),
        pos: None,
        resumed: None,
        from: None,
    })
}
