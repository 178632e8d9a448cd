//! Transport: TLS, and compression, which is declined.

use serde_json::json;

use super::kit::{Bot, Codec};
use crate::kit::{Publisher, TestHub, config, trade};

/// R4. The offers are those of the clients in Python and JavaScript 3, Go, and JavaScript 4.
#[test]
fn compression_offer_is_declined() {
    let hub = TestHub::default();
    let (mut publisher, _) = Publisher::acknowledged(&hub, "market");
    for (id, offer) in
        [Some("permessage-deflate; client_max_window_bits"), Some("permessage-deflate"), None]
            .into_iter()
            .enumerate()
    {
        let headers: Vec<_> =
            offer.iter().map(|offer| ("Sec-Websocket-Extensions", *offer)).collect();
        let mut bot = Bot::connect_with(&hub, "/v2/sip", Codec::Msgpack, &headers);
        assert!(!bot.client.head.contains("sec-websocket-extensions"), "{}", bot.client.head);
        assert_eq!(bot.message()[0]["msg"], "connected");
        bot.log_in("any", "thing");
        bot.subscribe(json!({"trades": ["AAPL"]}));
        publisher.publish(&[trade("AAPL", id as u64)]);
        assert_eq!(bot.message()[0]["i"], id);
    }
}

/// R3.
#[test]
fn alpaca_session_is_the_same_over_tls() {
    let hub = TestHub::start_encrypted(config());
    let (mut publisher, _) = Publisher::acknowledged(&hub, "market");
    for codec in Codec::BOTH {
        let mut bot = Bot::subscribed(&hub, codec, json!({"trades": ["AAPL"], "quotes": ["*"]}));
        publisher.publish(&[trade("AAPL", 1), trade("MSFT", 2), trade("AAPL", 3)]);
        let message = bot.message();
        let ids: Vec<_> = message.iter().map(|trade| trade["i"].as_u64().unwrap()).collect();
        assert_eq!(ids, [1, 3]);
        bot.unsubscribe(json!({"trades": ["AAPL"]}));
    }
}
