//! Hub, relay and hub as processes: ticks published at one end arrive at the other, whichever
//! process is killed.
#![expect(clippy::unwrap_used, reason = "tests")]

mod chain;
#[path = "../kit/mod.rs"]
mod kit;

use std::path::Path;

use chain::{Chain, SECRET, Subscriber, live, succeed};
use kit::tickwire;

const ALL: [&str; 2] = ["--symbols", "*"];

#[test]
fn recorded_day_arrives_complete_and_in_order() {
    let chain = Chain::new(&[]);
    let (files, ticks) = chain.day();
    let _relay = chain.relay(&ALL);
    chain.downstream.await_source(live(1));
    let subscriber = chain.subscribe();
    for (file, ticks) in files.iter().zip(&ticks) {
        chain.play(file);
        subscriber.assert_next(ticks);
    }
    let source = chain
        .downstream
        .await_source(|source| source["ticks"].as_u64() == Some(ticks.concat().len() as u64));
    assert_eq!((&source["detail"], &source["errors"]), (&"2 names subscribed".into(), &0.into()));
}

#[test]
fn upstream_kill_is_reported_and_the_relay_reconnects() {
    let mut chain = Chain::new(&[]);
    let ([first, second], ticks) = chain.day();
    let _relay = chain.relay(&ALL);
    chain.downstream.await_source(live(1));
    let subscriber = chain.subscribe();
    chain.play(&first);
    subscriber.assert_next(&ticks[0]);
    chain.upstream.kill();
    let down = chain.downstream.await_source(|source| source["state"] == "down");
    assert!(down["detail"].as_str().unwrap().contains("next try in"), "{down}");
    chain.downstream.await_state(|state| state == "down");
    chain.upstream.restart();
    chain.downstream.await_source(live(2));
    chain.downstream.await_state(|state| state != "down");
    chain.play(&second);
    subscriber.assert_next(&ticks[1]);
}

#[test]
fn restarted_relay_continues_with_the_current_ticks() {
    let chain = Chain::new(&[]);
    let ([first, second], ticks) = chain.day();
    let arguments = [&ALL[..], &["--publisher", "relay"]].concat();
    let relay = chain.relay(&arguments);
    chain.downstream.await_source(live(1));
    let subscriber = chain.subscribe();
    chain.play(&first);
    subscriber.assert_next(&ticks[0]);
    drop(relay);
    let _relay = chain.relay(&arguments);
    chain.downstream.await_source(|source| live(1)(source) && source["ticks"] == 0);
    chain.play(&second);
    subscriber.assert_next(&ticks[1]);
}

#[test]
fn ticks_during_a_hub_outage_are_published_after_its_restart() {
    let mut chain = Chain::new(&[]);
    let ([first, second], ticks) = chain.day();
    let _relay = chain.relay(&ALL);
    chain.downstream.await_source(live(1));
    let subscriber = chain.subscribe();
    chain.play(&first);
    subscriber.assert_next(&ticks[0]);
    chain.downstream.kill();
    chain.play(&second);
    chain.downstream.restart();
    subscriber.assert_next(&ticks[1]);
}

#[test]
fn relay_on_demand_subscribes_only_while_there_are_subscribers() {
    let chain = Chain::new(&[]);
    let (files, ticks) = chain.day();
    let _relay = chain.relay(&["--on-demand", "--linger", "0s"]);
    let idle = chain.downstream.await_source(live(1));
    assert_eq!(idle["detail"], "no names are wanted");
    let subscriber = Subscriber::new(&chain.downstream.address, "XXX");
    chain.downstream.await_source(|source| source["detail"] == "2 names subscribed");
    for file in &files {
        chain.play(file);
    }
    let expected: Vec<_> =
        ticks.concat().into_iter().filter(|tick| tick.symbol.as_str() == "XXX").collect();
    assert!(expected.len() > 2_000 && expected.len() < ticks.concat().len());
    subscriber.assert_next(&expected);
    drop(subscriber);
    // The subscriber's thread ends when it cannot hand over its next tick.
    chain.play(&files[1]);
    chain.play(&files[0]);
    chain.downstream.await_source(|source| source["detail"] == "no names are wanted");
}

#[test]
fn second_relay_with_the_same_key_waits_and_takes_over_when_the_first_ends() {
    let folder = tempfile::tempdir().unwrap();
    let keys = folder.path().join("keys.toml");
    let keys = keys.to_str().unwrap();
    let mut command = tickwire(&["keys", "add", "relays", "--file", keys, "--id", "KEY"]);
    command.args(["--secret", SECRET, "--sessions-max", "1"]);
    succeed(command);
    let chain = Chain::new(&["--keys", keys]);
    let first = chain.relay(&[&ALL[..], &["--publisher", "first"]].concat());
    chain.downstream.await_source(|source| live(1)(source) && source["publisher"] == "first");
    let _second = chain.relay(&[&ALL[..], &["--publisher", "second"]].concat());
    let refused = chain.downstream.await_source(|source| {
        source["publisher"] == "second" && source["state"] == "down" && source["errors"] == 1
    });
    let detail = refused["detail"].as_str().unwrap();
    assert!(detail.starts_with("another connection uses this key (406"), "{detail}");
    chain.downstream.await_state(|state| state != "down");
    drop(first);
    let of_second = |source: &serde_json::Value| source["publisher"] == "second";
    chain.downstream.await_source(|source| of_second(source) && source["state"] == "live");
    assert!(chain.relay_log().contains("(406 connection limit exceeded)"));
}

#[test]
fn wrong_key_is_reported_and_not_retried_soon() {
    let folder = tempfile::tempdir().unwrap();
    let keys = folder.path().join("keys.toml");
    let keys = keys.to_str().unwrap();
    succeed(tickwire(&["keys", "add", "other", "--file", keys, "--id", "OTHER"]));
    let chain = Chain::new(&["--keys", keys]);
    let _relay = chain.relay(&ALL);
    let refused = chain.downstream.await_source(|source| source["errors"] == 1);
    let detail = refused["detail"].as_str().unwrap();
    let message = "the upstream does not accept the key (402 auth failed)";
    assert!(detail.starts_with(message), "{detail}");
    let seconds: u64 = detail.rsplit(' ').nth(1).unwrap().parse().unwrap();
    assert!((30..=60).contains(&seconds), "{detail}");
}

#[test]
fn relay_trusts_an_upstream_with_a_certificate_of_the_given_authority() {
    let certificates = Path::new(env!("CARGO_MANIFEST_DIR")).join("../hub/tests/tls");
    let file = |name: &str| certificates.join(name).to_str().unwrap().to_owned();
    let certificate = file("first.pem");
    let key = file("first.key");
    let authority = file("ca.pem");
    let chain = Chain::new(&["--tls-cert", &certificate, "--tls-key", &key]);
    let url = format!("wss://{}/v2/sip", chain.upstream.address);
    let stranger = chain.relay_from(&url, &ALL);
    let down = chain.downstream.await_source(|source| source["errors"] == 1);
    assert!(down["detail"].as_str().unwrap().contains("--tls-ca FILE"), "{down}");
    drop(stranger);
    let _relay = chain.relay_from(&url, &[&ALL[..], &["--tls-ca", &authority]].concat());
    chain.downstream.await_source(live(1));
    let (files, ticks) = chain.day();
    let subscriber = chain.subscribe();
    chain.play(&files[0]);
    subscriber.assert_next(&ticks[0]);
}

#[test]
fn relay_to_its_own_upstream_exits_at_once() {
    let chain = Chain::new(&[]);
    let address = &chain.downstream.address;
    // Another name of the same hub: the relay must compare the hubs, not their addresses.
    let url = format!("ws://localhost:{}/v2/sip", address.rsplit(':').next().unwrap());
    for what in [&ALL[..], &["--on-demand"]] {
        let mut relay = chain.relay_from(&url, what);
        assert_eq!(relay.0.wait().unwrap().code(), Some(1));
    }
    assert_eq!(chain.relay_log().matches("is the hub that the ticks are published to").count(), 2);
}
