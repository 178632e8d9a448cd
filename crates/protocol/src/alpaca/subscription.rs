//! The answer to subscribe and unsubscribe in Alpaca's protocol.

use crate::msgpack::{write_array_len, write_str};
use crate::{Encoding, SubscriptionSet};

/// Appends a message with one `subscription` element, which lists all names of a session.
///
/// Every channel is present as a list, even if it is empty, because the SDKs replace their own set
/// of subscriptions by this answer. Source: "Subscribe" in
/// <https://docs.alpaca.markets/docs/streaming-market-data>.
pub fn write_alpaca_subscription(names: &SubscriptionSet, encoding: Encoding, out: &mut Vec<u8>) {
    match encoding {
        Encoding::Json => write_json(names, out),
        Encoding::MsgpackArray | Encoding::MsgpackMap => write_msgpack(names, out),
    }
}

fn write_json(names: &SubscriptionSet, out: &mut Vec<u8>) {
    out.extend_from_slice(b"[{\"T\":\"subscription\"");
    for (channel, selection) in names.iter() {
        out.extend_from_slice(b",\"");
        out.extend_from_slice(channel.name().as_bytes());
        out.extend_from_slice(b"\":[");
        let mut separator: &[u8] = b"\"";
        for name in selection.iter() {
            out.extend_from_slice(separator);
            out.extend_from_slice(name.as_bytes()); // no name needs an escape
            out.push(b'"');
            separator = b",\"";
        }
        out.push(b']');
    }
    out.extend_from_slice(b"}]");
}

fn write_msgpack(names: &SubscriptionSet, out: &mut Vec<u8>) {
    out.extend_from_slice(b"\x91\x8b"); // an array of one map with 11 keys: T and the ten channels
    write_str(out, "T");
    write_str(out, "subscription");
    for (channel, selection) in names.iter() {
        write_str(out, channel.name());
        write_array_len(out, selection.len());
        selection.iter().for_each(|name| write_str(out, name));
    }
}
