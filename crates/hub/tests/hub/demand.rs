//! Demand: publishers learn which names have subscribers.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tickwire_hub::Config;
use tickwire_protocol::Channel;

use crate::kit::{Client, Publisher, TestHub, config, now, symbols, trade};

/// A publisher that requested demand, and the reported names.
struct Demanding {
    publisher: Publisher,
    /// Channels and names that have subscribers.
    wanted: BTreeSet<(String, String)>,
    /// Number of demand elements received.
    elements: usize,
}

impl Demanding {
    fn open(hub: &TestHub, path: &str) -> Self {
        let mut publisher = Publisher { client: Client::open(hub, path, &[]), number: 0 };
        let command = format!(r#"{{"action":"publish","publisher":"{path}","demand":true}}"#);
        assert_eq!(publisher.client.ask(&command)["T"], "publishing");
        let mut demanding = Self { publisher, wanted: BTreeSet::new(), elements: 0 };
        demanding.receive();
        demanding
    }

    /// Applies the next element, which must contain actual changes only.
    fn receive(&mut self) -> Value {
        let element = self.publisher.client.control();
        assert_eq!(element["T"], "demand", "{element}");
        self.elements += 1;
        for (channel, name) in names_in(&element["removed"]) {
            assert!(self.wanted.remove(&(channel, name)), "had no subscribers: {element}");
        }
        for name in names_in(&element["added"]) {
            assert!(self.wanted.insert(name), "was wanted: {element}");
        }
        element
    }

    fn receive_until(&mut self, expected: &[(&str, &str)]) {
        let expected: BTreeSet<_> =
            expected.iter().map(|(channel, name)| ((*channel).into(), (*name).into())).collect();
        while self.wanted != expected {
            self.receive();
        }
    }
}

fn names_in(names: &Value) -> Vec<(String, String)> {
    let Some(channels) = names.as_object() else { return Vec::new() };
    let all = channels.iter().flat_map(|(channel, names)| {
        assert!(Channel::from_name(channel).is_some(), "{channel}");
        let name = |name: &Value| (channel.clone(), name.as_str().unwrap().to_owned());
        names.as_array().unwrap().iter().map(name).collect::<Vec<_>>()
    });
    all.collect()
}

#[test]
fn publisher_learns_of_first_subscribers_and_of_last_unsubscribes() {
    let hub = TestHub::default();
    let [mut one, mut two] = [Client::json(&hub), Client::msgpack(&hub)];
    one.subscribe(r#""trades":["AAPL"],"quotes":["*"]"#);
    let mut publisher = Demanding::open(&hub, "/publish");
    publisher.receive_until(&[("quotes", "*"), ("trades", "AAPL")]);
    two.subscribe(r#""trades":["AAPL","MSFT"],"delivery":"latest""#);
    publisher.receive_until(&[("quotes", "*"), ("trades", "AAPL"), ("trades", "MSFT")]);
    assert_eq!(one.ask(r#"{"action":"unsubscribe","trades":["AAPL"]}"#)["T"], "subscription");
    assert_eq!(one.ask(r#"{"action":"unsubscribe","quotes":["*"]}"#)["T"], "subscription");
    publisher.receive_until(&[("trades", "AAPL"), ("trades", "MSFT")]);
    drop(two);
    publisher.receive_until(&[]);
    publisher.publisher.send(&[trade("AAPL", 1)]);
    publisher.publisher.settle(); // nothing more was told before the ack
}

#[test]
fn first_demand_element_is_sent_even_if_empty() {
    let hub = TestHub::default();
    let publisher = Demanding::open(&hub, "/publish");
    assert_eq!((publisher.elements, publisher.wanted.len()), (1, 0));
}

#[test]
fn demand_is_reported_per_feed_and_only_on_request() {
    let hub = TestHub::start(Config { feeds: vec!["main".into(), "other".into()], ..config() });
    let (mut silent, _) = Publisher::acknowledged(&hub, "silent");
    let mut other = Demanding::open(&hub, "/publish?feed=other");
    let mut main = Demanding::open(&hub, "/publish");
    Client::json(&hub).subscribe(r#""trades":["AAPL"]"#);
    let mut client = Client::open(&hub, "/ws?feed=other", &[]);
    client.ask(r#"{"action":"subscribe","bars":["MSFT"]}"#);
    other.receive_until(&[("bars", "MSFT")]);
    main.receive_until(&[]);
    assert_eq!(other.elements, 2);
    silent.publish(&[trade("AAPL", 1)]);
}

#[test]
fn demand_counts_sessions_of_every_view_and_protocol() {
    let hub = TestHub::default();
    let mut publisher = Demanding::open(&hub, "/publish");
    let mut delayed = Client::open(&hub, "/ws?feed=delayed_sip", &[]);
    delayed.ask(r#"{"action":"subscribe","trades":["LATE"]}"#);
    publisher.receive_until(&[("trades", "LATE")]);
    let mut bot = Client::open(&hub, "/v2/iex", &[]);
    bot.send(r#"{"action":"auth","key":"any","secret":"any"}"#);
    bot.send(r#"{"action":"subscribe","quotes":["BOT"]}"#);
    publisher.receive_until(&[("quotes", "BOT"), ("trades", "LATE")]);
    drop((delayed, bot));
    publisher.receive_until(&[]);
}

#[test]
fn demand_is_reported_at_most_four_times_a_second() {
    let hub = TestHub::default();
    let mut publisher = Demanding::open(&hub, "/publish");
    let mut client = Client::json(&hub);
    let began = now();
    for round in 0..200 {
        client.subscribe(r#""trades":["AAPL"]"#);
        if round == 199 {
            break;
        }
        client.ask(r#"{"action":"unsubscribe","trades":["AAPL"]}"#);
    }
    client.subscribe(r#""trades":["LAST"]"#);
    publisher.receive_until(&[("trades", "AAPL"), ("trades", "LAST")]);
    let quarters = began.elapsed().as_millis() / 250;
    assert!(publisher.elements as u128 <= quarters + 3, "{} in {quarters}", publisher.elements);
}

#[test]
fn demand_elements_are_at_most_one_mebibyte() {
    let hub = TestHub::default();
    let mut client = Client::json(&hub);
    let all: Vec<String> = symbols(40_000).iter().map(|name| format!("{name:A<24}")).collect();
    for some in all.chunks(20_000) {
        client.subscribe(&format!(r#""trades":{}"#, json!(some)));
    }
    let mut publisher = Demanding::open(&hub, "/publish");
    while publisher.wanted.len() < all.len() {
        let element = publisher.receive();
        assert!(element.to_string().len() <= 1 << 20);
    }
    assert_eq!(publisher.elements, 2);
    drop(client);
    publisher.receive_until(&[]);
}
