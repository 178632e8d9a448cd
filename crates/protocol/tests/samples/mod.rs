//! One message of every sort, shared by the tests.
#![expect(clippy::unwrap_used, reason = "a test's own values")]

use tickwire_protocol::{
    Bar, CancelError, Channel, Command, Conditions, Control, Correction, Credentials, Delivery,
    DeliveryGroup, Encoding, ErrorCode, Feed, FeedState, Imbalance, Luld, MaxRate, MessageBuf,
    OnLag, PerChannel, Price, PublishRequest, Quote, Replay, ReplaySpeed, Resume, ResumeOutcome,
    ResumePoint, Seq, SourceReport, Status, SubscribeRequest, SubscriptionSet, Symbol, Text, Tick,
    TickData, Trade, write_alpaca_subscription,
};

/// A message.
pub(crate) enum Sample {
    Ticks(Vec<Tick>),
    PublishedMessage {
        ticks: Vec<Tick>,
        mark: &'static str,
        lost: u64,
    },
    /// Ticks and the position behind them.
    Positioned {
        ticks: Vec<Tick>,
        pos: u64,
    },
    Control(Control),
    /// The whole set, as SDKs of the stock stream need it.
    Ack(Box<SubscriptionSet>),
    Command(Box<Command>),
}

impl Sample {
    /// How it can be spelled. Only ticks are maps that differ from the other MessagePack.
    pub(crate) fn encodings(&self) -> &'static [Encoding] {
        const ALL: [Encoding; 3] = [Encoding::Json, Encoding::MsgpackArray, Encoding::MsgpackMap];
        if matches!(self, Self::Ticks(_)) { &ALL } else { &ALL[..2] }
    }

    /// The whole message.
    pub(crate) fn encode(&self, encoding: Encoding) -> Vec<u8> {
        let mut out = Vec::new();
        match self {
            Self::Ticks(ticks) => {
                let mut message = MessageBuf::new(encoding);
                ticks.iter().for_each(|tick| message.push(tick));
                out.extend_from_slice(message.finish());
            }
            Self::PublishedMessage { ticks, mark, lost } => {
                let mut message = MessageBuf::new(encoding);
                ticks.iter().for_each(|tick| message.push(tick));
                message.push_mark(mark);
                if *lost > 0 {
                    message.push_lost(*lost);
                }
                out.extend_from_slice(message.finish());
            }
            Self::Positioned { ticks, pos } => {
                let mut message = MessageBuf::new(encoding);
                ticks.iter().for_each(|tick| message.push(tick));
                message.push_position(*pos);
                out.extend_from_slice(message.finish());
            }
            Self::Control(control) => control.write_message(encoding, &mut out),
            Self::Ack(names) => write_alpaca_subscription(names, encoding, &mut out),
            Self::Command(command) => match encoding {
                Encoding::Json => command.write_json(&mut out),
                Encoding::MsgpackArray | Encoding::MsgpackMap => command.write_msgpack(&mut out),
            },
        }
        out
    }
}

/// Every sort of message with the name of its golden files.
pub(crate) fn samples() -> Vec<(&'static str, Sample)> {
    let mut samples: Vec<_> =
        ticks().into_iter().map(|(name, tick)| (name, Sample::Ticks(vec![tick]))).collect();
    samples.push(("batch", Sample::Ticks(vec![tick("AAPL", 1043, trade()), quote_of_one_side()])));
    let ticks = vec![tick("AAPL", 1043, trade())];
    samples.push(("positioned", Sample::Positioned { ticks, pos: 2_000_042 }));
    for (name, lost) in [("published", 0), ("published_lost", 17)] {
        let ticks = vec![tick("AAPL", 0, trade())];
        samples.push((name, Sample::PublishedMessage { ticks, mark: "trades.csv:1042", lost }));
    }
    let mut unnumbered = quote_of_one_side();
    unnumbered.seq = Seq(0);
    samples.push(("unnumbered", Sample::Ticks(vec![unnumbered])));
    samples.push(("alpaca_ack", Sample::Ack(Box::new(names()))));
    samples.extend(controls().into_iter().map(|(name, control)| (name, Sample::Control(control))));
    samples.extend(
        commands().into_iter().map(|(name, command)| (name, Sample::Command(Box::new(command)))),
    );
    samples
}

fn ticks() -> Vec<(&'static str, Tick)> {
    vec![
        ("trade", tick("AAPL", 1042, trade())),
        ("quote", tick("MSFT", 77, quote())),
        ("bar", tick("SPY", 390, TickData::Bar(bar()))),
        ("updated_bar", tick("SPY", 1, TickData::UpdatedBar(bar()))),
        ("daily_bar", tick("SPY", 2, TickData::DailyBar(bar()))),
        ("status", tick("BRK.B", 3, status())),
        ("luld", tick("IONM", 9, luld())),
        ("imbalance", tick("NVDA", 200, imbalance())),
        ("correction", tick("EEM", 70_000, correction())),
        ("cancel_error", tick("GOOGL", u64::MAX, cancel_error())),
    ]
}

fn tick(symbol: &str, seq: u64, data: TickData) -> Tick {
    let time = "2026-01-02T14:30:00.123456789Z".parse().unwrap();
    Tick { symbol: Symbol::new(symbol).unwrap(), seq: Seq(seq), time, data }
}

fn text(text: &str) -> Text {
    Text::new(text).unwrap()
}

fn price(decimal: &str) -> Price {
    decimal.parse().unwrap()
}

fn trade() -> TickData {
    TickData::Trade(Trade {
        id: 96_921,
        exchange: text("D"),
        price: price("126.55"),
        size: 100,
        conditions: Conditions::new(["@", "I"]).unwrap(),
        tape: text("C"),
    })
}

fn quote() -> TickData {
    TickData::Quote(Quote {
        bid_exchange: text("Q"),
        bid: price("402.01"),
        bid_size: 300,
        ask_exchange: text("V"),
        ask: price("402.0225"),
        ask_size: 70_000,
        conditions: Conditions::new(["R"]).unwrap(),
        tape: text("C"),
    })
}

fn quote_of_one_side() -> Tick {
    let quote =
        Quote { bid_exchange: text("P"), bid: price("0.0001"), bid_size: 1, ..Quote::default() };
    let mut tick = tick("ABC/USD", 1, TickData::Quote(quote));
    tick.time = "2026-01-02T14:30:00Z".parse().unwrap();
    tick
}

fn bar() -> Bar {
    Bar {
        open: price("580.5"),
        high: price("581"),
        low: price("579.875"),
        close: price("580.25"),
        volume: 1_234_567,
        trades: 4_321,
        vwap: price("580.310412345"),
    }
}

fn status() -> TickData {
    TickData::Status(Box::new(Status {
        code: text("H"),
        message: text("Trading Halt"),
        reason_code: text("T12"),
        reason: text("\"Zusätzliche\" Information\n\u{1f4c8}"),
        tape: text("A"),
    }))
}

fn luld() -> TickData {
    TickData::Luld(Luld {
        limit_up: price("3.24"),
        limit_down: price("2.65"),
        indicator: text("B"),
        tape: text("C"),
    })
}

fn imbalance() -> TickData {
    TickData::Imbalance(Imbalance { price: price("3999999.123456789"), tape: text("C") })
}

fn correction() -> TickData {
    TickData::Correction(Box::new(Correction {
        exchange: text("M"),
        original_id: 52_983_525_033_527,
        original_price: price("39.1582"),
        original_size: 440_000,
        original_conditions: Conditions::new([" ", "7", "V"]).unwrap(),
        corrected_id: 52_983_525_034_326,
        corrected_price: price("39.1809"),
        corrected_size: 440_000,
        corrected_conditions: Conditions::default(),
        tape: text("B"),
    }))
}

fn cancel_error() -> TickData {
    TickData::CancelError(Box::new(CancelError {
        id: u64::MAX,
        exchange: text("D"),
        price: price("-37.63"),
        size: 0,
        action: text("C"),
        tape: text("C"),
    }))
}

/// Names of three channels, `"*"` among them.
fn names() -> SubscriptionSet {
    let mut names = SubscriptionSet::default();
    names[Channel::Trades].add("AAPL").unwrap();
    names[Channel::Quotes].add("AAPL").unwrap();
    names[Channel::Quotes].add("MSFT").unwrap();
    names[Channel::Bars].add("*").unwrap();
    names
}

/// Every quote.
fn all_quotes() -> SubscriptionSet {
    let mut names = SubscriptionSet::default();
    names[Channel::Quotes].add("*").unwrap();
    names
}

fn latest(per_second: Option<f64>) -> Delivery {
    Delivery::Latest { max_rate: per_second.map(|rate| MaxRate::per_second(rate).unwrap()) }
}

/// Answers that tell of delivery `latest`: to a subscribe, and to `list`.
fn latest_acks() -> [(&'static str, Control); 2] {
    let mut total = PerChannel::default();
    total[Channel::Quotes] = 1;
    let ack = Control::Subscription {
        id: Some(1),
        names: Box::new(all_quotes()),
        total,
        delivery: latest(Some(10.0)),
        on_lag: OnLag::Latest,
        modes: Vec::new(),
        pos: None,
        resumed: None,
        from: None,
    };
    total[Channel::Trades] = 2;
    let mut trade = SubscriptionSet::default();
    trade[Channel::Trades].add("MSFT").unwrap();
    let mut every = all_quotes();
    every[Channel::Trades].add("AAPL").unwrap();
    every[Channel::Trades].add("MSFT").unwrap();
    let listed = Control::Subscription {
        id: Some(3),
        names: Box::new(every),
        total,
        delivery: Delivery::Every,
        on_lag: OnLag::Close,
        modes: vec![
            DeliveryGroup { delivery: latest(Some(10.0)), names: all_quotes() },
            DeliveryGroup { delivery: latest(None), names: trade },
        ],
        pos: None,
        resumed: None,
        from: None,
    };
    [("subscription_latest", ack), ("subscription_modes", listed)]
}

/// The answer to a subscribe of two trades.
fn history_ack(pos: u64, resumed: Option<ResumeOutcome>, from: Option<&str>) -> Control {
    let mut total = PerChannel::default();
    total[Channel::Trades] = 2;
    Control::Subscription {
        id: Some(1),
        names: Box::new(trades()),
        total,
        delivery: Delivery::Every,
        on_lag: OnLag::Close,
        modes: Vec::new(),
        pos: Some(pos),
        resumed,
        from: from.map(|from| from.parse().unwrap()),
    }
}

/// Answers that tell positions: to a subscribe, a resume and a replay.
fn history_acks() -> [(&'static str, Control); 4] {
    [
        ("subscription_positioned", history_ack(2_000_041, None, None)),
        ("subscription_resumed", history_ack(1_999_000, Some(ResumeOutcome::Complete), None)),
        ("subscription_resumed_gap", history_ack(1_999_512, Some(ResumeOutcome::Gap), None)),
        ("subscription_replay", history_ack(1_500_000, None, Some("2026-01-02T14:30:00Z"))),
    ]
}

/// Two names of one channel.
fn trades() -> SubscriptionSet {
    let mut names = SubscriptionSet::default();
    names[Channel::Trades].add("AAPL").unwrap();
    names[Channel::Trades].add("MSFT").unwrap();
    names
}

/// Commands that ask for what was.
fn history_commands() -> [(&'static str, Command); 5] {
    let subscribe = |pos, resume, replay| {
        let names = trades();
        let id = Some(1);
        Command::Subscribe(SubscribeRequest {
            names,
            id,
            pos,
            resume,
            replay,
            ..SubscribeRequest::default()
        })
    };
    let resume = |point| Some(Resume { epoch: "8c1f6e0b52d94a37".to_owned(), point });
    let mut after = Box::<PerChannel<_>>::default();
    after[Channel::Trades] = ["AAPL", "MSFT"].map(|s| (Symbol::new(s).unwrap(), Seq(1041))).into();
    let replay = |from: &str, speed| Some(Replay { from: from.parse().unwrap(), speed });
    let slowly = ReplaySpeed::factor(20.0).unwrap();
    [
        ("subscribe_positioned", subscribe(true, None, None)),
        ("subscribe_resume", subscribe(true, resume(ResumePoint::Position(1_999_000)), None)),
        ("subscribe_resume_after", subscribe(false, resume(ResumePoint::After(after)), None)),
        (
            "subscribe_replay",
            subscribe(false, None, replay("2026-01-02T14:30:00Z", ReplaySpeed::Max)),
        ),
        ("subscribe_replay_paced", subscribe(false, None, replay("-5m", slowly))),
    ]
}

fn gaps() -> [(&'static str, Control); 3] {
    let gap = |from, to, lagged| Control::Gap {
        channel: Channel::Trades,
        symbol: Symbol::new("AAPL").unwrap(),
        from,
        to,
        lagged,
    };
    [
        ("gap", gap(Some(1043), Some(2001), false)),
        ("gap_unknown", gap(None, None, false)),
        ("gap_lagged", gap(Some(1043), Some(2001), true)),
    ]
}

/// What else is told where a hub wants keys, or a publisher wants to know what it is for.
fn logins() -> [(&'static str, Control); 4] {
    [
        ("connected_without_epoch", Control::Connected { epoch: None }),
        ("authenticated", Control::Authenticated),
        (
            "error_not_allowed",
            Control::Error {
                code: ErrorCode::InsufficientSubscription,
                detail: Some("the key desk-1 may read iex, not sip".to_owned()),
                id: None,
            },
        ),
        (
            "demand",
            Control::Demand {
                feed: Feed::default(),
                added: Box::new(trades()),
                removed: Box::new(all_quotes()),
            },
        ),
    ]
}

fn controls() -> Vec<(&'static str, Control)> {
    let mut total = PerChannel::default();
    total[Channel::Trades] = 1;
    total[Channel::Quotes] = 2;
    total[Channel::Bars] = 1;
    let names = Box::new(names());
    let time = "2026-01-02T14:30:00.5Z".parse().unwrap();
    let feed =
        |lost| Control::Feed { feed: Feed::default(), state: FeedState::Live, since: time, lost };
    let mut controls = vec![
        ("connected", Control::Connected { epoch: Some("8c1f6e0b52d94a37".to_owned()) }),
        (
            "subscription",
            Control::Subscription {
                id: Some(1),
                names,
                total,
                delivery: Delivery::Every,
                on_lag: OnLag::Close,
                modes: Vec::new(),
                pos: None,
                resumed: None,
                from: None,
            },
        ),
        ("snapshot", Control::Snapshot { ticks: 3 }),
        ("live", Control::Live),
        (
            "error",
            Control::Error {
                code: ErrorCode::InvalidSyntax,
                detail: Some("field action: missing".to_owned()),
                id: Some(4),
            },
        ),
        (
            "error_slow_client",
            Control::Error { code: ErrorCode::SlowClient, detail: None, id: None },
        ),
        ("feed", feed(0)),
        ("feed_lost", feed(17)),
        ("heartbeat", Control::Heartbeat { time, pos: None }),
        ("heartbeat_positioned", Control::Heartbeat { time, pos: Some(2_000_042) }),
        ("publishing", Control::Publishing { last: 0, mark: None }),
        (
            "publishing_again",
            Control::Publishing { last: 41, mark: Some("trades.csv:1042".to_owned()) },
        ),
        ("ack", Control::Ack { up_to: 42, durable: true }),
        ("ack_unlogged", Control::Ack { up_to: 42, durable: false }),
    ];
    controls.extend(latest_acks());
    controls.extend(history_acks());
    controls.extend(gaps());
    controls.extend(logins());
    controls
}

/// Credentials, and what a publisher says of itself.
fn source_commands() -> [(&'static str, Command); 3] {
    [
        (
            "auth",
            Command::Auth(Credentials { id: "desk-1".to_owned(), secret: "s3cret".to_owned() }),
        ),
        (
            "publish_on_demand",
            Command::Publish(PublishRequest { publisher: "relay-1".to_owned(), demand: true }),
        ),
        (
            "report",
            Command::Report(SourceReport {
                state: FeedState::Stale,
                detail: Some("nothing came for 30 s".to_owned()),
                upstream: Some("wss://stream.example/v2/sip".to_owned()),
                connects: 2,
                errors: 1,
                ticks: 31_250,
                no_bars: true,
            }),
        ),
    ]
}

fn commands() -> Vec<(&'static str, Command)> {
    let mut dropped = SubscriptionSet::default();
    dropped[Channel::Quotes].add("MSFT").unwrap();
    let mut everything = SubscriptionSet::default();
    for channel in Channel::ALL {
        everything[channel].add("*").unwrap();
    }
    let mut commands = vec![
        (
            "subscribe",
            Command::Subscribe(SubscribeRequest {
                names: names(),
                id: Some(1),
                ..SubscribeRequest::default()
            }),
        ),
        (
            "subscribe_everything",
            Command::Subscribe(SubscribeRequest {
                names: everything,
                snapshot: Some(true),
                ..SubscribeRequest::default()
            }),
        ),
        (
            "subscribe_latest",
            Command::Subscribe(SubscribeRequest {
                names: all_quotes(),
                delivery: latest(Some(10.0)),
                on_lag: Some(OnLag::Latest),
                id: Some(1),
                ..SubscribeRequest::default()
            }),
        ),
        (
            "subscribe_latest_slowly",
            Command::Subscribe(SubscribeRequest {
                names: all_quotes(),
                delivery: latest(Some(0.5)),
                ..SubscribeRequest::default()
            }),
        ),
        (
            "unsubscribe",
            Command::Unsubscribe(SubscribeRequest {
                names: dropped,
                id: Some(2),
                ..SubscribeRequest::default()
            }),
        ),
        ("list", Command::List { id: Some(3) }),
        (
            "publish",
            Command::Publish(PublishRequest { publisher: "replay-1".to_owned(), demand: false }),
        ),
    ];
    commands.extend(history_commands());
    commands.extend(source_commands());
    commands
}
