//! Reports of publishers on their sources.

use serde_json::{Value, json};

use crate::kit::{Publisher, TestHub, trade, until};

fn feed(hub: &TestHub) -> Value {
    let status: Value = serde_json::from_str(&hub.get("/api/status").body).unwrap();
    status["feeds"][0].clone()
}

fn until_state(hub: &TestHub, expected: &str) {
    until(&format!("feed {expected}"), || feed(hub)["state"] == expected);
}

fn report(publisher: &mut Publisher, state: &str) {
    publisher.client.send(&format!(
        r#"{{"action":"report","state":"{state}","detail":"{state}, it says","upstream":"wss://up.example/v2/sip","connects":3,"errors":2,"ticks":100}}"#
    ));
}

#[test]
fn feed_state_follows_the_report_of_its_publisher() {
    let hub = TestHub::default();
    let (mut publisher, _) = Publisher::acknowledged(&hub, "relay");
    publisher.publish(&[trade("AAPL", 1)]);
    until_state(&hub, "live");
    for state in ["stale", "down", "live", "down"] {
        report(&mut publisher, state);
        until_state(&hub, state);
    }
    drop(publisher);
    until("the publisher is gone", || feed(&hub)["publishers"] == 0);
    assert_eq!(feed(&hub)["state"], "down");
    assert_eq!(feed(&hub)["sources"], json!([]));
}

#[test]
fn feed_state_is_that_of_its_best_publisher() {
    let hub = TestHub::default();
    let (mut relay, _) = Publisher::acknowledged(&hub, "relay");
    let mut other = Publisher::open(&hub);
    relay.publish(&[trade("AAPL", 1)]);
    report(&mut relay, "down");
    until("reported", || feed(&hub)["sources"][0]["state"] == "down");
    until_state(&hub, "live");
    other.client.send_close(1000);
    until_state(&hub, "down");
    assert_eq!(hub.post("/publish", r#"[{"T":"t","S":"AAPL","seq":0,"i":1,"x":"V","p":1,"s":1,"c":[],"t":"2026-01-02T14:30:00Z","z":"C"}]"#).status, 200);
    until_state(&hub, "live");
}

#[test]
fn status_and_metrics_show_source_reports() {
    let hub = TestHub::default();
    let (mut relay, _) = Publisher::acknowledged(&hub, "re\\\"lay");
    let (_silent, _) = Publisher::acknowledged(&hub, "silent");
    report(&mut relay, "stale");
    until("reported", || feed(&hub)["sources"][0]["state"] == "stale");
    let mut sources = feed(&hub)["sources"].clone();
    for source in sources.as_array_mut().unwrap() {
        let since = source.as_object_mut().unwrap().remove("since").unwrap();
        assert!(since.as_str().unwrap().ends_with('Z'), "{since}");
    }
    assert_eq!(
        sources,
        json!([
            {"publisher":"re\"lay","state":"stale","detail":"stale, it says",
             "upstream":"wss://up.example/v2/sip","connects":3,"errors":2,"ticks":100},
            {"publisher":"silent"},
        ])
    );
    let labels = r#"feed="main",publisher="re\"lay""#;
    for (name, expected) in [("connects", 3), ("errors", 2), ("ticks", 100)] {
        assert_eq!(hub.metric(&format!("tickwire_upstream_{name}_total{{{labels}}}")), expected);
    }
    let state =
        |state| hub.metric(&format!("tickwire_upstream_state{{{labels},state=\"{state}\"}}"));
    assert_eq!(["live", "stale", "down"].map(state), [0, 1, 0]);
    relay.publish(&[trade("AAPL", 1), trade("AAPL", 2)]);
    assert_eq!(hub.metric(r#"tickwire_feed_ticks_in_total{feed="main"}"#), 2);
    assert_eq!(feed(&hub)["ticks_in"], 2);
}

#[test]
fn source_state_has_the_time_of_its_change() {
    let hub = TestHub::default();
    let (mut relay, _) = Publisher::acknowledged(&hub, "relay");
    let since = || feed(&hub)["sources"][0]["since"].as_str().unwrap().to_owned();
    let came = since();
    report(&mut relay, "down");
    until("down", || feed(&hub)["sources"][0]["state"] == "down");
    let down = since();
    assert!(down > came, "{down} after {came}");
    relay.client.send(r#"{"action":"report","state":"down","detail":"again","connects":4}"#);
    until("the second report", || feed(&hub)["sources"][0]["detail"] == "again");
    assert_eq!(since(), down);
}

#[test]
fn newer_session_replaces_the_source_of_a_publisher() {
    let hub = TestHub::default();
    let (mut older, _) = Publisher::acknowledged(&hub, "relay");
    report(&mut older, "down");
    until("reported", || feed(&hub)["sources"][0]["state"] == "down");
    let (mut newer, _) = Publisher::acknowledged(&hub, "relay");
    report(&mut newer, "stale");
    until("reported", || feed(&hub)["sources"][0]["state"] == "stale");
    assert_eq!(feed(&hub)["sources"].as_array().unwrap().len(), 1);
}

#[test]
fn invalid_source_report_is_refused() {
    let hub = TestHub::default();
    let mut nameless = Publisher::open(&hub);
    let good = r#"{"action":"report","state":"down"}"#;
    assert_eq!(nameless.client.ask(good)["code"], 400);
    let (mut publisher, _) = Publisher::acknowledged(&hub, "relay");
    publisher.publish(&[trade("AAPL", 1)]);
    let long = "x".repeat(10_000);
    for bad in [
        r#"{"action":"report"}"#.to_owned(),
        r#"{"action":"report","state":"dead"}"#.to_owned(),
        r#"{"action":"report","state":"down","connects":-1}"#.to_owned(),
        format!(r#"{{"action":"report","state":"down","detail":"{long}"}}"#),
        format!(r#"{{"action":"report","state":"down","upstream":"{long}"}}"#),
    ] {
        let error = publisher.client.ask(&bad);
        assert_eq!((&error["T"], &error["code"]), (&json!("error"), &json!(400)), "{bad}");
    }
    publisher.publish(&[trade("AAPL", 2)]);
    until_state(&hub, "live");
    assert_eq!(feed(&hub)["sources"][0].get("state"), None);
    assert_eq!(hub.refused("syntax"), 6);
}
