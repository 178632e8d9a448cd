//! Views: the names under which subscribers reach feeds.

use std::collections::BTreeMap;
use std::time::Duration;

use tickwire_hub::{Config, Hub, ViewConfig};
use tickwire_protocol::Encoding;

use crate::kit::{Client, Publisher, TestHub, config, id_of, trade};

fn view(name: &str, feed: &str, delay: Duration) -> BTreeMap<String, ViewConfig> {
    [(name.to_owned(), ViewConfig { feed: feed.to_owned(), delay })].into()
}

/// Returns the error with which a hub fails to start.
fn refusal(config: Config) -> String {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(Hub::start(config)).unwrap_err().to_string()
}

#[test]
fn feed_is_reachable_by_its_name_and_its_views() {
    let feeds = vec!["us".to_owned(), "eu".to_owned()];
    let hub =
        TestHub::start(Config { feeds, views: view("paris", "eu", Duration::ZERO), ..config() });
    let paths = ["/ws", "/ws?feed=us", "/ws?feed=sip", "/ws?feed=iex"];
    let mut of_us = paths.map(|path| Client::session_at(&hub, path, Encoding::Json));
    let mut of_eu = ["/ws?feed=eu", "/ws?feed=paris"]
        .map(|path| Client::session_at(&hub, path, Encoding::MsgpackArray));
    for client in of_us.iter_mut().chain(&mut of_eu) {
        client.subscribe(r#""trades":["*"]"#);
    }
    let mut tick = vec![b'['];
    trade("A", 7).write_json(&mut tick);
    tick.push(b']');
    let posted = hub.post("/publish?feed=eu", &String::from_utf8(tick).unwrap());
    assert_eq!(posted.status, 200, "{}", posted.body);
    Publisher::open(&hub).send(&[trade("A", 1)]);
    for client in &mut of_us {
        assert_eq!(id_of(&client.take(1)[0]), 1);
    }
    for client in &mut of_eu {
        assert_eq!(id_of(&client.take(1)[0]), 7);
    }
}

#[test]
fn views_refuse_publishers() {
    let hub = TestHub::start(Config {
        views: view("late", "main", Duration::from_millis(500)),
        ..config()
    });
    for view in ["late", "sip", "delayed_sip"] {
        let answer = hub.post(&format!("/publish?feed={view}"), "[]");
        assert_eq!(answer.status, 404);
        assert!(answer.body.starts_with("a view, which takes no publishers; "), "{}", answer.body);
        assert!(answer.body.contains("expected one of: main"), "{}", answer.body);
    }
    let answer = hub.post("/publish?feed=moon", "[]");
    assert!(answer.body.starts_with("no such feed; "), "{}", answer.body);
}

#[test]
fn invalid_view_is_an_error_with_the_allowed_form() {
    for (name, feed, delay, expected) in [
        ("late", "moon", Duration::ZERO, "late = moon: expected one of the feeds main"),
        ("main", "main", Duration::from_secs(5), "main = main: main is the name of a feed"),
        (
            "A B",
            "main",
            Duration::from_secs(5),
            "\"A B\": feed \"A B\": expected 1 to 24 of a-z 0-9 _ -",
        ),
        ("late", "main", Duration::from_secs(8 * 86_400), "a delay of 8d: expected at most 7d"),
    ] {
        let text = refusal(Config { views: view(name, feed, delay), ..config() });
        assert!(text.starts_with("views is ") && text.contains(expected), "{text}");
    }
    let views = (1..10)
        .map(|n| {
            (format!("v{n}"), ViewConfig { feed: "main".to_owned(), delay: Duration::from_secs(n) })
        })
        .collect();
    let text = refusal(Config { views, ..config() });
    assert!(text.contains("11 different delays: expected at most 8, including none"), "{text}");
}

#[test]
fn delay_beyond_history_is_refused_with_both_durations() {
    let text = refusal(Config {
        views: view("yesterday", "main", Duration::from_secs(90_000)),
        ..config()
    });
    for part in ["yesterday with a delay of 25h", "log_age = 1d", "data_dir"] {
        assert!(text.contains(part), "{text}");
    }
    let folder = tempfile::tempdir().unwrap();
    let data_dir = Some(folder.path().to_owned());
    let views = view("yesterday", "main", Duration::from_secs(90_000));
    drop(TestHub::start(Config { views: views.clone(), data_dir: data_dir.clone(), ..config() }));
    let text =
        refusal(Config { views, data_dir, disk_age: Duration::from_secs(90_000), ..config() });
    assert!(text.contains("disk_age = 25h"), "{text}");
    let text = refusal(Config { log_age: Duration::from_secs(60), ..config() });
    assert!(text.contains("delayed_sip") && text.contains("--views delayed_sip=FEED"), "{text}");
    let views = view("delayed_sip", "main", Duration::from_secs(30));
    drop(TestHub::start(Config { log_age: Duration::from_secs(60), views, ..config() }));
}
