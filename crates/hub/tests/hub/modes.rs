//! Delivery modes of names: request, ack, change and refusal.

use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};
use tickwire_protocol::{Encoding, Tick};
use tickwire_testkit::seeds;

use crate::kit::{
    Client, Event, OPEN_BINARY, PATIENCE, Publisher, Stop, TestHub, now, seqs, trade,
};
use rand::RngExt;

/// Sends a command in an encoding, and returns its answer.
fn ask(client: &mut Client, encoding: Encoding, command: &Value) -> Value {
    match encoding {
        Encoding::Json => client.send(&command.to_string()),
        Encoding::MsgpackArray | Encoding::MsgpackMap => {
            client.send_frame(OPEN_BINARY, &rmp_serde::to_vec_named(command).unwrap());
        }
    }
    client.answer()
}

#[test]
fn acks_and_lists_name_modes_other_than_the_default() {
    for encoding in [Encoding::Json, Encoding::MsgpackArray] {
        let hub = TestHub::default();
        let mut client = Client::session(&hub, encoding);
        let mut ask = |command: Value| ask(&mut client, encoding, &command);
        let ack =
            ask(json!({"action":"subscribe","quotes":["*"],"delivery":"latest","max_rate":10,
            "on_lag":"latest","snapshot":false,"id":1}));
        assert_eq!(
            ack,
            json!({"T":"subscription","id":1,"quotes":["*"],"total":{"quotes":1},
                "delivery":"latest","max_rate":10,"on_lag":"latest"})
        );
        let ack = ask(json!({"action":"subscribe","trades":["A","B"],"delivery":"latest",
            "on_lag":"close","snapshot":false}));
        assert_eq!(
            ack,
            json!({"T":"subscription","trades":["A","B"],"total":{"trades":2,"quotes":1},
                "delivery":"latest"})
        );
        let ack = ask(json!({"action":"subscribe","trades":["C"],"corrections":["A"],
            "delivery":"every","snapshot":false}));
        assert_eq!(
            ack,
            json!({"T":"subscription","trades":["C"],"corrections":["A"],
                "total":{"trades":3,"quotes":1,"corrections":1}})
        );
        let ack = ask(json!({"action":"subscribe","bars":["A"],"corrections":["B"],
            "delivery":"latest","max_rate":0.25,"snapshot":false}));
        assert_eq!(ack["max_rate"], json!(0.25));
        let list = ask(json!({"action":"list","id":9}));
        assert_eq!(
            list,
            json!({"T":"subscription","id":9,"trades":["A","B","C"],"quotes":["*"],"bars":["A"],
                "corrections":["A","B"],
                "total":{"trades":3,"quotes":1,"bars":1,"corrections":2},
                "modes":[{"trades":["A","B"],"delivery":"latest"},
                    {"bars":["A"],"delivery":"latest","max_rate":0.25},
                    {"quotes":["*"],"delivery":"latest","max_rate":10}]})
        );
    }
}

#[test]
fn ack_names_exactly_the_names_whose_mode_changed() {
    let hub = TestHub::default();
    let (mut publisher, _) = Publisher::acknowledged(&hub, "market");
    publisher.publish(&[trade("A", 1), trade("B", 2)]);
    let mut client = Client::json(&hub);
    let mut last = "";
    for (names, mode, changed) in [
        (r#"["A"]"#, r#""delivery":"every""#, json!(["A"])),
        (r#"["A"]"#, r#""delivery":"every""#, json!(null)),
        (r#"["A","B"]"#, r#""delivery":"latest""#, json!(["B", "A"])),
        (r#"["A","B"]"#, r#""delivery":"latest""#, json!(null)),
        (r#"["B"]"#, r#""delivery":"latest","max_rate":2"#, json!(["B"])),
        (r#"["B"]"#, r#""delivery":"latest","max_rate":2.0001"#, json!(null)),
        (r#"["A","B"]"#, r#""delivery":"latest","max_rate":2.5"#, json!(["A", "B"])),
        (r#"["B"]"#, r#""on_lag":"latest""#, json!(["B"])),
        (r#"["*","B"]"#, r#""delivery":"latest","snapshot":true"#, json!(["*", "B"])),
        (r#"["*"]"#, r#""delivery":"latest","snapshot":true"#, json!(null)),
    ] {
        let ack = client.ask(&format!(r#"{{"action":"subscribe","trades":{names},{mode}}}"#));
        let sorted = |names: &Value| {
            let mut names: Vec<String> = names
                .as_array()
                .map(|names| names.iter().map(|name| name.as_str().unwrap().to_owned()).collect())
                .unwrap_or_default();
            names.sort();
            names
        };
        assert_eq!(sorted(&ack["trades"]), sorted(&changed), "{names} {mode}, after {last}");
        last = mode;
        if changed.is_null() {
            client.nothing_pending();
            continue;
        }
        let ticks = changed.as_array().unwrap().len();
        assert_eq!(client.control(), json!({"T":"snapshot","ticks":ticks}), "{names} {mode}");
        client.take(ticks);
        assert_eq!(client.control(), json!({"T":"live"}));
        client.nothing_pending();
    }
}

/// Names in `latest` are sent once in ten seconds.
#[test]
fn named_subscription_overrides_the_wildcard() {
    let hub = TestHub::default();
    let (mut publisher, _) = Publisher::acknowledged(&hub, "market");
    let mut named = Client::json(&hub);
    named.subscribe(r#""trades":["*"],"delivery":"latest","max_rate":0.1"#);
    named.subscribe(r#""trades":["A"]"#);
    let mut starred = Client::msgpack(&hub);
    starred.subscribe(r#""trades":["A"],"delivery":"latest","max_rate":0.1"#);
    starred.subscribe(r#""trades":["*"]"#);
    let began = now();
    for id in 0..300 {
        publisher.publish(&[trade("A", id), trade("B", id)]);
    }
    for (symbol, client) in [("A", &mut named), ("B", &mut starred)] {
        let mut every = Vec::new();
        let mut newest = Vec::new();
        while every.last() != Some(&300) {
            for tick in client.data() {
                let list = if tick.symbol.as_str() == symbol { &mut every } else { &mut newest };
                list.push(tick.seq.0);
            }
        }
        assert!(every.into_iter().eq(1..=300), "{symbol} is delivered with `every`");
        let slots = began.elapsed().as_secs() / 10 + 2;
        assert!(newest.len() as u64 <= slots, "the other one is conflated: {newest:?}");
    }
    // After its name is unsubscribed, the mode of the wildcard applies to the symbol.
    starred.ask(r#"{"action":"unsubscribe","trades":["A"]}"#);
    publisher.publish(&vec![trade("A", 0); 50]);
    assert_eq!(seqs(&starred.take(50)), (301..=350).collect::<Vec<_>>());
}

/// Returns the ticks before the next control element, which must be of this kind.
fn until_control(client: &mut Client, kind: &str) -> Vec<Tick> {
    let mut ticks = Vec::new();
    let began = now();
    loop {
        assert!(began.elapsed() < PATIENCE, "no {kind} among {} ticks", ticks.len());
        match client.event() {
            Event::Ticks(more) => ticks.extend(more),
            other => {
                let element = other.control();
                assert_eq!(element["T"], kind, "{element}");
                return ticks;
            }
        }
    }
}

#[test]
fn every_is_complete_after_a_change_of_mode_under_load() {
    let hub = TestHub::default();
    let (mut publisher, _) = Publisher::acknowledged(&hub, "market");
    let mut client = Client::msgpack(&hub);
    let mut random = seeds!().rng();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                publisher.publish(&vec![trade("A", 0); 20]);
            }
        });
        let _stop = Stop(&stop);
        let mut last = 0;
        let mut every = true;
        client.send(r#"{"action":"subscribe","trades":["A"]}"#);
        until_control(&mut client, "subscription");
        for round in 0..60 {
            assert_eq!(until_control(&mut client, "snapshot"), []);
            let snapshot = seqs(&until_control(&mut client, "live"));
            assert!(snapshot.iter().all(|seq| *seq >= last), "round {round}");
            last = snapshot.last().copied().unwrap_or(last);
            let mut live = client.data();
            let modes = [
                r#""delivery":"latest""#,
                r#""delivery":"latest","max_rate":1000"#,
                r#""delivery":"latest","max_rate":300"#,
            ];
            let now_every = !every || random.random_bool(0.2);
            let mode = if now_every { r#""delivery":"every""# } else { modes[round % 3] };
            let repeated = now_every && every;
            client.send(&format!(r#"{{"action":"subscribe","trades":["A"],{mode}}}"#));
            live.extend(until_control(&mut client, "subscription"));
            for seq in seqs(&live) {
                if every {
                    assert_eq!(seq, last + 1, "round {round}: complete");
                }
                assert!(seq > last, "round {round}: forward");
                last = seq;
            }
            every = now_every;
            if repeated {
                // The ack has no changes and no snapshot follows, so one is simulated.
                client.send(r#"{"action":"unsubscribe","trades":["A"]}"#);
                until_control(&mut client, "subscription");
                client.send(r#"{"action":"subscribe","trades":["A"]}"#);
                until_control(&mut client, "subscription");
            }
        }
    });
}

#[test]
fn invalid_options_are_refused_with_the_field_and_change_nothing() {
    let hub = TestHub::default();
    for encoding in [Encoding::Json, Encoding::MsgpackArray] {
        let mut client = Client::session(&hub, encoding);
        client.subscribe(r#""trades":["A"]"#);
        let options = [
            (json!({"max_rate":10}), "max_rate"),
            (json!({"delivery":"every","max_rate":10}), "max_rate"),
            (json!({"delivery":"latest","max_rate":0}), "max_rate"),
            (json!({"delivery":"latest","max_rate":0.09}), "max_rate"),
            (json!({"delivery":"latest","max_rate":1001}), "max_rate"),
            (json!({"delivery":"latest","max_rate":-1}), "max_rate"),
            (json!({"delivery":"latest","max_rate":"fast"}), "max_rate"),
            (json!({"delivery":"newest"}), "delivery"),
            (json!({"on_lag":"drop"}), "on_lag"),
            (json!({"on_lag":true}), "on_lag"),
        ];
        for (id, (option, field)) in options.iter().enumerate() {
            let mut command = json!({"action":"subscribe","trades":["A","B"],"id":id});
            command.as_object_mut().unwrap().extend(option.as_object().unwrap().clone());
            let error = ask(&mut client, encoding, &command);
            assert_eq!((&error["code"], &error["id"]), (&json!(400), &json!(id)), "{option}");
            let detail = error["detail"].as_str().unwrap();
            assert!(detail.contains(field), "{option}: {detail}");
        }
        let list = ask(&mut client, encoding, &json!({"action":"list"}));
        assert_eq!(list, json!({"T":"subscription","trades":["A"],"total":{"trades":1}}));
    }
}

#[test]
fn ninth_rate_is_refused_until_another_is_unused() {
    let hub = TestHub::default();
    let mut client = Client::json(&hub);
    let subscribe = |name: usize, rate: usize| {
        format!(
            r#"{{"action":"subscribe","trades":["S{name}"],"delivery":"latest","max_rate":{rate},"snapshot":false,"id":{rate}}}"#
        )
    };
    for rate in 1..=8 {
        assert_eq!(client.ask(&subscribe(rate, rate))["max_rate"], rate);
    }
    client.send(&subscribe(9, 9));
    let (id, detail) = client.error(405);
    assert_eq!(id, 9);
    assert!(detail.contains('8'), "{detail}");
    client.send(&subscribe(1, 9));
    client.error(405);
    assert_eq!(client.ask(&subscribe(9, 8))["total"], json!({"trades":9}), "one there is");
    client.subscribe(r#""trades":["S10"],"delivery":"latest""#);
    let list = client.ask(r#"{"action":"list"}"#);
    assert_eq!(
        list["modes"].as_array().unwrap().len(),
        9,
        "eight rates, and the names without a rate"
    );
    client.ask(r#"{"action":"unsubscribe","trades":["S3"]}"#);
    assert_eq!(client.ask(&subscribe(1, 9))["max_rate"], 9);
    assert_eq!(client.ask(&subscribe(11, 3))["max_rate"], 3, "the last name left the rate 1");
}
