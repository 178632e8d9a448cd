//! Reads the metrics of a hub process.

use std::io::{Read, Write};
use std::net::TcpStream;

use tickwire_testkit::PATIENCE;

/// Returns the value of a series in `/metrics` of the hub at `address`, a host and port.
pub(crate) fn metric(address: &str, series: &str) -> u64 {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let request = format!("GET /metrics HTTP/1.0\r\nHost: {address}\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let value = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    value.unwrap_or_else(|| panic!("no {series} in {text}")).parse().unwrap()
}
