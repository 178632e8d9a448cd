//! The address of a hub, for programs that open plain sockets.

use tickwire_protocol::HubUrl;

/// Returns host and port of a hub's URL.
///
/// # Errors
/// Returns a message if the text is not the URL of a hub, or if it has TLS or a path prefix, which
/// these programs do not support.
pub fn host_and_port(url: &str) -> Result<String, String> {
    let hub: HubUrl = url.parse().map_err(|error| format!("{error}"))?;
    if hub.uses_tls() || !hub.path("").is_empty() {
        return Err("TLS and path prefixes are not supported; expected ws://HOST:PORT".to_owned());
    }
    Ok(hub.socket_address())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_forms_of_a_plain_address_are_accepted() {
        for url in ["ws://[::1]:9000", "http://[::1]:9000/", "ws://[::1]:9000/ws"] {
            assert_eq!(host_and_port(url).as_deref(), Ok("[::1]:9000"));
        }
    }

    #[test]
    fn tls_and_prefixes_are_refused() {
        for url in ["wss://localhost:9000", "ws://localhost/market"] {
            let error = host_and_port(url).unwrap_err();
            assert!(error.starts_with("TLS and path prefixes are not supported"), "{error}");
        }
        assert!(host_and_port("localhost:9000").unwrap_err().contains("expected http://"));
    }
}
