mod silence;

use rand::RngExt as _;
use tickwire_protocol::{AlpacaCommand, Channel, FeedState, SubscriptionSet};
use tickwire_testkit::seeds;

use super::super::names::{Name, NameSet};
use super::*;

const T0: u64 = 1_767_364_200; // 2026-01-02T14:30:00Z, a Friday: the market opens
const CONNECTED: &str = r#"[{"T":"success","msg":"connected"}]"#;
const AUTHENTICATED: &str = r#"[{"T":"success","msg":"authenticated"}]"#;
const TRADE: &str = r#"{"T":"t","S":"AAPL","i":5,"x":"V","p":126.5,"s":100,"c":["@"],"t":"2026-01-02T14:30:00.123456789Z","z":"C"}"#;

/// A session and its clock in milliseconds since the market opened.
struct Scene {
    session: Session,
    ms: u64,
}

fn names(channel: Channel, symbols: &str) -> NameSet {
    let mut names = SubscriptionSet::default();
    for symbol in symbols.split_ascii_whitespace() {
        names[channel].add(symbol).unwrap();
    }
    super::super::names::each(&names).collect()
}

fn demand(channel: Channel, symbols: &str) -> Demand {
    Demand { names: names(channel, symbols), ..Demand::default() }
}

fn rules() -> Rules {
    Rules {
        upstream: "wss://vendor/v2/sip".to_owned(),
        credentials: Credentials { id: "KEY".to_owned(), secret: "SECRET".to_owned() },
        data_timeout: Some(Duration::from_secs(30)),
        hours: MarketHours::REGULAR,
    }
}

impl Scene {
    /// Creates a session that wants trades of these symbols, with an open connection that is not
    /// authenticated.
    fn open(symbols: &str) -> Self {
        let always = names(Channel::Trades, symbols);
        let channels = super::super::AlpacaConfig::CHANNELS.into_iter().collect();
        let subscriber = Subscriber::new(always, channels, Duration::from_secs(60));
        let mut scene = Self { session: Session::new(rules(), subscriber), ms: 0 };
        scene.session.opened(scene.now());
        scene
    }

    /// Creates an authenticated session that has subscribed to trades of these symbols.
    fn ready(symbols: &str) -> Self {
        let mut scene = Self::open(symbols);
        scene.log_in();
        if !symbols.is_empty() {
            scene.ack(Channel::Trades, symbols);
        }
        assert_eq!(scene.state(), FeedState::Live);
        scene.said();
        scene
    }

    fn log_in(&mut self) {
        self.text(CONNECTED).unwrap();
        self.text(AUTHENTICATED).unwrap();
    }

    fn now(&self) -> UnixNanos {
        UnixNanos((T0 * 1_000 + self.ms) * 1_000_000)
    }

    fn text(&mut self, text: &str) -> Result<Vec<Tick>, End> {
        self.session.on_frame(Frame::Text(text.as_bytes()), self.now())
    }

    fn error(&mut self, code: u16, msg: &str) -> Result<Vec<Tick>, End> {
        self.text(&format!(r#"[{{"T":"error","code":{code},"msg":"{msg}"}}]"#))
    }

    fn ack(&mut self, channel: Channel, symbols: &str) {
        let list: Vec<_> = symbols.split_ascii_whitespace().map(|s| format!("{s:?}")).collect();
        let channel = channel.name();
        let list = list.join(",");
        self.text(&format!(r#"[{{"T":"subscription","{channel}":[{list}]}}]"#)).unwrap();
    }

    /// Takes the text frames that the session has sent since the last call; a ping is the text
    /// `ping`.
    fn said(&mut self) -> Vec<String> {
        let text = |say| match say {
            Outbound::Text(text) => String::from_utf8(text).unwrap(),
            Outbound::Ping => "ping".to_owned(),
            Outbound::Binary(bytes) => panic!("{bytes:?} after text"),
        };
        self.session.take_outbox().into_iter().map(text).collect()
    }

    /// Advances the clock in steps of the timer. Returns the end of the connection, if it ended.
    fn pass(&mut self, secs: u64) -> Option<End> {
        for _ in 0..secs * 4 {
            self.ms += 250;
            if let Err(end) = self.session.on_timer(self.now()) {
                return Some(end);
            }
        }
        None
    }

    /// Like `pass`, with an upstream that answers pings.
    fn pass_answered(&mut self, secs: u64) -> Option<End> {
        for _ in 0..secs {
            if let Some(end) = self.pass(1) {
                return Some(end);
            }
            self.session.on_frame(Frame::KeepAlive, self.now()).unwrap();
        }
        None
    }

    fn reconnect(&mut self, end: &End, channel: Channel) {
        self.session.ended(end, self.now(), 0.0);
        self.session.opened(self.now());
        self.log_in();
        self.ack(channel, "AAPL");
    }

    fn state(&self) -> FeedState {
        self.session.report().state
    }

    fn detail(&self) -> String {
        self.session.report().detail.unwrap()
    }
}

fn lost(end: Option<End>) -> String {
    match end {
        Some(End::Lost(reason)) => reason,
        other => panic!("{other:?}"),
    }
}

#[test]
fn session_authenticates_after_the_greeting_and_then_subscribes() {
    let mut scene = Scene::open("AAPL BRK.B");
    assert!(scene.said().is_empty(), "the upstream speaks first");
    scene.text(CONNECTED).unwrap();
    assert_eq!(scene.said(), [r#"{"action":"auth","key":"KEY","secret":"SECRET"}"#]);
    scene.text(AUTHENTICATED).unwrap();
    assert_eq!(scene.said(), [r#"{"action":"subscribe","trades":["AAPL","BRK.B"]}"#]);
    assert_eq!(scene.state(), FeedState::Down);
    scene.ack(Channel::Trades, "AAPL BRK.B");
    assert_eq!((scene.state(), scene.detail()), (FeedState::Live, "2 names subscribed".to_owned()));
    assert!(scene.said().is_empty());
}

#[test]
fn session_follows_the_encoding_of_the_upstream() {
    let mut scene = Scene::open("AAPL");
    for control in [Control::Connected { epoch: None }, Control::Authenticated] {
        let mut message = Vec::new();
        control.write_message(Encoding::MsgpackMap, &mut message);
        scene.session.on_frame(Frame::Binary(&message), scene.now()).unwrap();
    }
    let said = scene.session.take_outbox().into_iter().map(|say| match say {
        Outbound::Binary(bytes) => {
            let mut commands = AlpacaCommand::decode_all(&bytes, Encoding::MsgpackMap);
            commands.next().unwrap().unwrap()
        }
        other => panic!("{other:?}"),
    });
    let mut wanted = SubscriptionSet::default();
    wanted[Channel::Trades].add("AAPL").unwrap();
    let expected = [AlpacaCommand::Auth(rules().credentials), AlpacaCommand::Subscribe(wanted)];
    assert_eq!(said.collect::<Vec<_>>(), expected);
}

#[test]
fn already_authenticated_counts_as_authenticated() {
    let mut scene = Scene::open("AAPL");
    scene.text(CONNECTED).unwrap();
    scene.error(403, "already authenticated").unwrap();
    assert_eq!(scene.said().len(), 2, "login and subscribe");
}

#[test]
fn ticks_beside_unreadable_elements_are_accepted() {
    let mut scene = Scene::ready("AAPL");
    let bad = r#"{"T":"t","S":"AAPL"}"#;
    let ticks = scene.text(&format!("[{TRADE},{bad},{{\"T\":\"new\"}},{TRADE}]")).unwrap();
    assert_eq!(ticks.len(), 2);
    assert_eq!((ticks[0].time.0 % 1_000_000_000, ticks[0].seq), (123_456_789, Seq(0)));
    let report = scene.session.report();
    assert_eq!((report.ticks, report.errors, report.connects), (2, 1, 1));
}

#[test]
fn sequence_numbers_of_an_upstream_hub_are_dropped() {
    let mut scene = Scene::ready("AAPL");
    let numbered = TRADE.replace(r#""S":"AAPL""#, r#""S":"AAPL","seq":77"#);
    assert_eq!(scene.text(&format!("[{numbered}]")).unwrap()[0].seq, Seq(0));
}

#[test]
fn each_error_code_has_its_documented_effect() {
    let refused = ["402 auth failed", "409 insufficient subscription", "411 insufficient scope"];
    let lost =
        ["404 auth timeout", "407 slow client", "500 internal error", "401 not authenticated"];
    for logged_in in [false, true] {
        let meet = |error: &str| {
            let (code, msg) = error.split_once(' ').unwrap();
            let mut scene = if logged_in { Scene::ready("AAPL") } else { Scene::open("AAPL") };
            scene.text(CONNECTED).unwrap();
            scene.error(code.parse().unwrap(), msg).unwrap_err()
        };
        for error in refused {
            assert!(
                matches!(meet(error), End::Refused(reason) if reason.contains(error)),
                "{error}"
            );
        }
        for error in lost {
            assert!(matches!(meet(error), End::Lost(reason) if reason.contains(error)), "{error}");
        }
        let occupied = meet("406 connection limit exceeded");
        assert!(
            matches!(&occupied, End::Occupied(said) if said.starts_with("another connection uses this key"))
        );
    }
}

#[test]
fn connection_limit_quotes_the_detail_of_the_upstream() {
    let mut scene = Scene::open("AAPL");
    scene.text(CONNECTED).unwrap();
    let end = scene
        .text(r#"[{"T":"error","code":406,"msg":"connection limit exceeded","detail":"held by 10.0.0.7"}]"#)
        .unwrap_err();
    let wait = scene.session.ended(&end, scene.now(), 0.6);
    assert_eq!(wait.as_secs(), 8);
    let said = "another connection uses this key (406 connection limit exceeded): \
                held by 10.0.0.7; next try in 8 s";
    assert_eq!((scene.state(), scene.detail()), (FeedState::Down, said.to_owned()));
}

#[test]
fn errors_without_a_request_are_only_counted() {
    let mut scene = Scene::ready("AAPL");
    for (code, msg) in [(400, "invalid syntax"), (405, "symbol limit exceeded"), (403, "")] {
        scene.error(code, msg).unwrap();
    }
    assert!(scene.said().is_empty());
    assert_eq!((scene.state(), scene.session.report().errors), (FeedState::Live, 2));
}

#[test]
fn ten_consecutive_unreadable_messages_end_the_connection() {
    let mut scene = Scene::ready("AAPL");
    for _ in 0..3 {
        for garbage in
            ["", "[", "{\"T\":", "nonsense", "[{}]", "[5]", "null", "[[]]", "[{\"T\":\"t\"}]"]
        {
            assert_eq!(scene.text(garbage), Ok(vec![]), "{garbage}");
        }
        scene.text(&format!("[{TRADE}]")).unwrap();
    }
    assert_eq!(scene.session.report().errors, 27);
    for _ in 0..9 {
        scene.session.on_frame(Frame::Binary(&[0xc1]), scene.now()).unwrap();
    }
    let end = scene.session.on_frame(Frame::Binary(&[0xc1]), scene.now()).unwrap_err();
    assert!(end.reason().starts_with("10 consecutive messages are unreadable; the last one: "));
}

#[test]
fn next_connection_subscribes_to_the_whole_set() {
    let mut scene = Scene::ready("AAPL");
    scene.session.set_demand(&demand(Channel::Quotes, "MSFT"), scene.now());
    scene.said();
    scene.pass(1);
    assert_eq!(scene.said(), [r#"{"action":"subscribe","quotes":["MSFT"]}"#]);
    let end = End::Lost("cut".to_owned());
    assert_eq!(scene.session.ended(&end, scene.now(), 0.0).as_secs(), 1);
    assert_eq!((scene.state(), scene.detail().as_str()), (FeedState::Down, "cut; next try in 1 s"));
    scene.session.set_demand(&demand(Channel::Quotes, "MSFT TSLA"), scene.now());
    scene.session.opened(scene.now());
    scene.log_in();
    scene.ack(Channel::Trades, "AAPL");
    let said = scene.said();
    assert_eq!(said[1], r#"{"action":"subscribe","trades":["AAPL"]}"#);
    assert_eq!(said[2], r#"{"action":"subscribe","quotes":["MSFT","TSLA"]}"#);
    assert_eq!((said.len(), scene.session.report().connects), (3, 2));
}

#[test]
fn state_changes_are_reported_at_once_and_counters_once_a_second() {
    let mut scene = Scene::ready("AAPL");
    assert!(scene.session.take_report(scene.now()).is_some());
    assert!(scene.session.take_report(scene.now()).is_none());
    scene.ms += 100;
    scene.text(&format!("[{TRADE}]")).unwrap();
    assert_eq!(scene.session.take_report(scene.now()), None);
    scene.ms += 900;
    assert_eq!(scene.session.take_report(scene.now()).unwrap().ticks, 1);
    scene.session.ended(&End::Lost("cut".to_owned()), scene.now(), 0.0);
    assert_eq!(scene.session.take_report(scene.now()).unwrap().state, FeedState::Down);
}

#[test]
fn texts_of_a_report_are_truncated() {
    let mut scene = Scene::ready("AAPL");
    scene.session.ended(&End::Lost("é".repeat(1_000)), scene.now(), 0.0);
    assert_eq!(scene.detail(), "é".repeat(128));
}

#[test]
fn text_of_the_upstream_is_printable_and_cut() {
    let long = "x".repeat(1 << 20);
    for detail in ["full\\nINFO all is well\\u009b2J\\u202e", &long] {
        let mut scene = Scene::ready("AAPL");
        let text = format!(r#"[{{"T":"error","code":500,"msg":"{detail}"}}]"#);
        let said = lost(scene.text(&text).err());
        assert!(said.chars().count() < 600, "{}", said.len());
        let is_printable = |c: char| c.is_ascii_graphic() || c == ' ' || c == '…';
        assert!(said.chars().all(is_printable), "{said:?}");
    }
}

#[test]
fn name_set_holds_symbols_and_wildcards() {
    let all: Vec<Name> = names(Channel::Bars, "* A").into_iter().collect();
    assert_eq!(all[0], (Channel::Bars, None));
    assert_eq!(all[1].1.unwrap().as_str(), "A");
}

#[test]
fn upstream_that_closes_at_once_is_not_flooded_with_logins() {
    let mut random = seeds!().rng();
    for (end, most) in [
        (End::Lost("closed".to_owned()), 60),
        (End::Occupied("406".to_owned()), 40),
        (End::Refused("402".to_owned()), 12),
    ] {
        let mut scene = Scene::open("AAPL");
        let mut connects = 0;
        while scene.ms < 600_000 {
            scene.session.opened(scene.now());
            connects += 1;
            let wait = scene.session.ended(&end, scene.now(), random.random());
            scene.ms += u64::try_from(wait.as_millis()).unwrap();
        }
        assert!((3..=most).contains(&connects), "{connects} connects, {end:?}");
    }
}
