//! Values of flags that several commands share.

use std::net::SocketAddr;
use std::time::Duration;

use clap::error::ErrorKind;
use tickwire_feeder::SimConfig;
use tickwire_protocol::{Channel, Delivery, MaxRate, Symbol};

/// Default address of the hub that commands connect to.
pub(crate) const DEFAULT_HUB: &str = "http://127.0.0.1:8080";

/// Parses a boolean in any of the usual spellings.
pub(crate) fn boolean(text: &str) -> Result<bool, String> {
    match text.trim().to_ascii_lowercase().as_str() {
        "on" | "true" | "yes" | "1" => Ok(true),
        "off" | "false" | "no" | "0" => Ok(false),
        _ => Err("expected on, true, yes or 1, or else off, false, no or 0".to_owned()),
    }
}

/// Parses an item of a list; blanks around the commas are allowed.
pub(crate) fn list_item(text: &str) -> Result<String, String> {
    match text.trim() {
        "" => Err("expected no empty item between the commas".to_owned()),
        item => Ok(item.to_owned()),
    }
}

/// Parses the name of a channel. In a list, blanks around the commas are allowed.
pub(crate) fn channel(text: &str) -> Result<Channel, String> {
    Channel::from_name(text.trim()).ok_or_else(|| {
        let names: Vec<&str> = Channel::ALL.iter().map(|channel| channel.name()).collect();
        format!("expected one of {}", names.join(", "))
    })
}

/// Parses a symbol. The error for a symbol in lower case names the symbol in upper case. In a list,
/// blanks around the commas are allowed.
pub(crate) fn symbol(text: &str) -> Result<Symbol, String> {
    let text = text.trim();
    Symbol::new(text).map_err(|error| match Symbol::new(&text.to_ascii_uppercase()) {
        Ok(upper) => format!("symbols are upper case; did you mean {upper}?"),
        Err(_) => error.to_string(),
    })
}

/// Parses the highest rate of updates with `latest` delivery.
fn max_rate(text: &str) -> Result<MaxRate, String> {
    let rate = text.parse().map_err(|_| {
        format!("expected updates per second, a number from {} to {}", MaxRate::MIN, MaxRate::MAX)
    })?;
    MaxRate::per_second(rate).map_err(|error| error.to_string())
}

/// Flags for the delivery mode of a subscription.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct DeliveryArgs {
    /// Receive the newest tick of each symbol and channel instead of every tick
    #[arg(long)]
    latest: bool,
    /// With --latest: most updates per second, 0.1 to 1000 [default: as fast as they can be
    /// received]
    #[arg(long, value_name = "R", value_parser = max_rate, allow_negative_numbers = true)]
    max_rate: Option<MaxRate>,
}

impl DeliveryArgs {
    /// Returns the delivery mode, or exits if the flags contradict each other.
    pub(crate) fn delivery(self) -> Delivery {
        match self {
            Self { latest: true, max_rate } => Delivery::Latest { max_rate },
            Self { latest: false, max_rate: None } => Delivery::Every,
            Self { latest: false, max_rate: Some(rate) } => usage(&format!(
                "--max-rate {rate}: allowed only with --latest, since otherwise every tick is sent"
            )),
        }
    }
}

/// Parses a duration such as `500ms`, `30s` or `5m`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    tickwire_hub::parse_duration(text).map_err(|error| error.to_string())
}

/// Parses a duration that is not zero.
pub(crate) fn some_duration(text: &str) -> Result<Duration, String> {
    match duration(text)? {
        Duration::ZERO => Err("expected more than zero, such as 500ms, 30s or 5m".to_owned()),
        some => Ok(some),
    }
}

/// Parses an address to listen on.
pub(crate) fn listen(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| "expected an address and a port such as 127.0.0.1:8080".to_owned())
}

/// Parses the number of symbols of a simulated market.
pub(crate) fn symbols(text: &str) -> Result<usize, String> {
    let most = SimConfig::SYMBOLS_MAX;
    let count = text.parse().ok().filter(|count| (1..=most).contains(count));
    count.ok_or_else(|| format!("expected a whole number from 1 to {most}"))
}

/// Parses the rate of a simulated market, in ticks per second.
pub(crate) fn rate(text: &str) -> Result<f64, String> {
    let most = SimConfig::RATE_MAX;
    let rate = text.parse().ok().filter(|rate| (0.001..=most).contains(rate));
    rate.ok_or_else(|| format!("expected ticks per second, a number from 0.001 to {most}"))
}

/// Parses the seed of a simulated market.
pub(crate) fn seed(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("expected a whole number from 0 to {}", u64::MAX))
}

/// Adds advice to an error of a connection: the hub does not run, its certificate is not trusted,
/// or it does not speak TLS.
pub(crate) fn hinted(error: anyhow::Error) -> anyhow::Error {
    let hint = error.chain().find_map(|cause| {
        let io = cause.downcast_ref::<std::io::Error>()?;
        if io.kind() == std::io::ErrorKind::ConnectionRefused {
            return Some("is the hub running there? `tickwire demo` starts one");
        }
        match io.get_ref()?.downcast_ref::<rustls::Error>()? {
            rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer) => {
                Some("its certificate authority is not known here; add it with --tls-ca FILE")
            }
            rustls::Error::InvalidMessage(_) => {
                Some("the server does not speak TLS there; try an address with http:// or ws://")
            }
            _ => None,
        }
    });
    match hint {
        Some(hint) => anyhow::anyhow!("{error:#}: {hint}"),
        None => error,
    }
}

/// Exits with a usage error about flags that do not fit together.
pub(crate) fn usage(message: &str) -> ! {
    clap::Error::raw(ErrorKind::ValueValidation, format!("{message}\n")).exit()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn symbol_in_lower_case_is_refused_with_its_upper_case() {
        assert_eq!(symbol("BRK.B").unwrap().as_str(), "BRK.B");
        assert_eq!(symbol("brk.b").unwrap_err(), "symbols are upper case; did you mean BRK.B?");
        assert!(symbol("a b").unwrap_err().contains("expected 1 to 24 of A-Z"));
    }

    #[test]
    fn booleans_have_the_usual_spellings() {
        for text in ["1", "yes", "on", "true", "TRUE", "Yes", "ON", " on "] {
            assert_eq!(boolean(text), Ok(true), "{text}");
        }
        for text in ["0", "no", "off", "false", "FALSE", "No", "OFF"] {
            assert_eq!(boolean(text), Ok(false), "{text}");
        }
        for text in ["", "2", "y", "enabled"] {
            assert!(boolean(text).unwrap_err().contains("on, true, yes or 1"), "{text}");
        }
    }

    #[test]
    fn items_of_a_list_may_have_blanks_around_them() {
        assert_eq!(list_item(" https://a.example ").unwrap(), "https://a.example");
        assert!(list_item(" ").unwrap_err().contains("no empty item"));
        assert_eq!(symbol(" AAPL").unwrap().as_str(), "AAPL");
        assert_eq!(channel("quotes ").unwrap(), Channel::Quotes);
    }

    #[test]
    fn refused_values_say_what_is_allowed() {
        assert!(channel("trade").unwrap_err().starts_with("expected one of trades, quotes, bars"));
        assert!(some_duration("0s").unwrap_err().contains("more than zero"));
        assert!(duration("5 parsecs").unwrap_err().contains("such as 500ms, 30s or 5m"));
    }
}
