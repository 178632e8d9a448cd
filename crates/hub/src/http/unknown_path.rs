//! The answer to a request for a path that does not exist: JSON, like Alpaca's errors.

use serde_json::{Value, json};
use tickwire_protocol::Printable;

use super::directory::Directory;
use crate::access::keys::Grant;

/// Maximum number of characters of the path that the answer repeats.
const PATH_CHARS_SHOWN: usize = 64;

/// The paths for last values over REST.
pub(super) const LAST_VALUE_PATHS: [&str; 8] = [
    "/v2/stocks/trades/latest?symbols=",
    "/v2/stocks/quotes/latest?symbols=",
    "/v2/stocks/bars/latest?symbols=",
    "/v2/stocks/snapshots?symbols=",
    "/v2/stocks/{symbol}/trades/latest",
    "/v2/stocks/{symbol}/quotes/latest",
    "/v2/stocks/{symbol}/bars/latest",
    "/v2/stocks/{symbol}/snapshot",
];

/// Says that there is no such path, and which there are: the streams that the client may read, if
/// its rights are known, and the paths for last values.
pub(super) fn explanation(directory: &Directory, grant: Option<&Grant>, path: &str) -> Value {
    let mut streams = vec!["/ws".to_owned()];
    match grant {
        Some(grant) => {
            let names = directory.readable_names(grant);
            streams.extend(names.map(|view| format!("/v2/{view}")));
        }
        None => streams.push("/v2/{view}".to_owned()),
    }
    let path = Printable(path).cut(PATH_CHARS_SHOWN);
    let message = format!(
        "no such path: {path}; this hub has streams and last values, but no trading, account or \
         reference data, and no history"
    );
    json!({ "message": message, "streams": streams, "paths": LAST_VALUE_PATHS })
}
