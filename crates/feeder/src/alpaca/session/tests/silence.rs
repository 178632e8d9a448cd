//! Upstreams that do not answer pings or send no ticks.

use super::*;

#[test]
fn unresponsive_upstream_is_disconnected() {
    let mut silent = Scene::open("AAPL");
    assert_eq!(silent.pass(9), None);
    assert_eq!(lost(silent.pass(2)), "no greeting within 10 s");
    let mut deaf = Scene::open("AAPL");
    deaf.pass_answered(5);
    deaf.text(CONNECTED).unwrap();
    assert_eq!(deaf.pass_answered(9), None);
    assert_eq!(lost(deaf.pass_answered(2)), "no answer to the login within 10 s");
    let mut mute = Scene::open("AAPL");
    mute.log_in();
    assert_eq!(mute.pass_answered(9), None);
    assert!(lost(mute.pass_answered(2)).starts_with("no answer to a change of subscriptions"));
}

#[test]
fn pings_are_sent_every_ten_seconds_and_require_an_answer() {
    let mut scene = Scene::ready("AAPL");
    scene.pass_answered(25);
    assert_eq!(scene.said(), ["ping", "ping"]);
    scene.text(&format!("[{TRADE}]")).unwrap();
    scene.pass(5);
    assert_eq!(scene.said(), ["ping"]);
    assert_eq!(scene.pass(9), None);
    assert_eq!(lost(scene.pass(2)), "no answer to a ping within 10 s");
}

#[test]
fn any_frame_answers_a_ping() {
    let mut scene = Scene::ready("AAPL");
    for _ in 0..100 {
        assert_eq!(scene.pass(3), None);
        scene.text(&format!("[{TRADE}]")).unwrap();
    }
}

#[test]
fn silence_in_market_hours_is_reported_and_then_ends_the_connection() {
    let mut scene = Scene::ready("AAPL");
    assert_eq!(scene.pass_answered(14), None);
    assert_eq!(scene.state(), FeedState::Live);
    assert_eq!(scene.pass_answered(2), None);
    assert_eq!(scene.state(), FeedState::Stale);
    assert!(scene.detail().starts_with("no ticks for 1"), "{}", scene.detail());
    scene.text(&format!("[{TRADE}]")).unwrap();
    assert_eq!(scene.state(), FeedState::Live);
    assert_eq!(scene.pass_answered(29), None);
    assert!(lost(scene.pass_answered(2)).starts_with("connected, but no ticks for 30 s while"));
}

#[test]
fn suspension_of_the_process_is_not_silence_of_the_upstream() {
    let mut scene = Scene::ready("AAPL");
    scene.text(&format!("[{TRADE}]")).unwrap();
    assert_eq!(scene.pass_answered(11), None);
    assert_eq!(scene.pass(9), None, "a ping is not answered yet");
    scene.ms += 62_000;
    assert_eq!(scene.pass(1), None);
    scene.session.on_frame(Frame::KeepAlive, scene.now()).unwrap();
    assert_eq!(scene.pass_answered(25), None);
    assert!(scene.pass_answered(10).is_some(), "an upstream that stays silent is noticed");
    let mut scene = Scene::open("AAPL");
    scene.ms += 62_000;
    assert_eq!(scene.pass(1), None);
    scene.log_in();
    scene.ms += 62_000;
    assert_eq!(scene.pass(1), None, "the answer to the subscription is still to be read");
    scene.ack(Channel::Trades, "AAPL");
    assert_eq!(scene.state(), FeedState::Live);
}

#[test]
fn silence_outside_market_hours_is_ignored() {
    let mut scene = Scene::ready("AAPL");
    scene.text(&format!("[{TRADE}]")).unwrap();
    // To a minute after 16:00, ticking until just before.
    scene.ms = (6 * 3_600 + 29 * 60) * 1_000 + 59_000;
    scene.text(&format!("[{TRADE}]")).unwrap();
    assert_eq!(scene.pass_answered(3_600), None);
    assert_eq!(scene.state(), FeedState::Live);
    // Monday 9:30: silence begins with the market.
    scene.ms = 3 * 24 * 3_600 * 1_000;
    scene.session.on_frame(Frame::KeepAlive, scene.now()).unwrap();
    assert_eq!(scene.pass_answered(29), None);
    assert!(scene.pass_answered(2).is_some());
}

#[test]
fn silence_without_subscriptions_is_ignored() {
    let mut scene = Scene::ready("");
    assert_eq!(scene.pass_answered(300), None);
    assert_eq!((scene.state(), scene.detail().as_str()), (FeedState::Live, "no names are wanted"));
    scene.session.set_demand(&demand(Channel::Trades, "AAPL"), scene.now());
    scene.pass_answered(1);
    scene.ack(Channel::Trades, "AAPL");
    assert_eq!(scene.pass_answered(28), None);
    assert!(scene.pass_answered(3).is_some());
}

#[test]
fn allowed_silence_doubles_until_ticks_arrive_steadily() {
    let mut scene = Scene::ready("AAPL");
    let mut patience = Vec::new();
    for _ in 0..6 {
        let before = scene.ms;
        let end = scene.pass_answered(3_600).unwrap();
        patience.push((scene.ms - before) / 1_000);
        scene.reconnect(&end, Channel::Trades);
        scene.text(&format!("[{TRADE}]")).unwrap();
    }
    assert_eq!(patience, [30, 60, 120, 240, 480, 480]);
    for _ in 0..12 {
        assert_eq!(scene.pass_answered(29), None);
        scene.text(&format!("[{TRADE}]")).unwrap();
    }
    assert_eq!(scene.pass_answered(29), None);
    assert!(scene.pass_answered(2).is_some());
}

#[test]
fn symbol_that_ticks_once_a_minute_costs_one_connection() {
    let mut scene = Scene::ready("AAPL");
    let mut ends = 0;
    for _ in 0..240 {
        if let Some(end) = scene.pass_answered(59) {
            ends += 1;
            scene.reconnect(&end, Channel::Trades);
        }
        scene.text(&format!("[{TRADE}]")).unwrap();
    }
    assert_eq!(ends, 1);
}

#[test]
fn allowed_silence_depends_on_the_subscribed_channels() {
    for (channel, silent) in [
        (Channel::Trades, Some(30)),
        (Channel::Quotes, Some(30)),
        (Channel::Bars, Some(180)),
        (Channel::DailyBars, None),
        (Channel::Statuses, None),
    ] {
        let mut scene = Scene::ready("");
        scene.session.set_demand(&demand(channel, "AAPL"), scene.now());
        scene.pass_answered(1);
        scene.ack(channel, "AAPL");
        let before = scene.ms;
        let end = scene.pass_answered(3_600);
        let after = end.is_some().then(|| (scene.ms - before) / 1_000);
        assert_eq!(after, silent, "{channel}");
    }
}
