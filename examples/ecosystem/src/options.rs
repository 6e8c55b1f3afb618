//! Values of command lines that clap cannot read by itself.
//!
//! Each is a `value_parser` of a program's options. What is wrong, the error says in the user's words.

use std::time::Duration;

use anyhow::ensure;

/// A duration in seconds, such as `5` or `0.25`.
///
/// # Errors
/// What is no number, negative, or more seconds than there are.
pub fn seconds(text: &str) -> anyhow::Result<Duration> {
    Ok(Duration::try_from_secs_f64(text.parse()?)?)
}

/// A duration that must not be zero.
///
/// # Errors
/// As [`seconds`], and zero.
pub fn some_seconds(text: &str) -> anyhow::Result<Duration> {
    let duration = seconds(text)?;
    ensure!(duration > Duration::ZERO, "0 seconds would be over before anything began");
    Ok(duration)
}

/// An address as `host:port`, where the host is a name or an IP address.
///
/// # Errors
/// What has no port, or no host.
pub fn address(text: &str) -> anyhow::Result<String> {
    let example = "write host:port, such as 127.0.0.1:8080 or [::1]:8080";
    let (host, port) =
        text.rsplit_once(':').ok_or_else(|| anyhow::anyhow!("no port: {example}"))?;
    ensure!(!host.is_empty(), "no host: {example}");
    ensure!(port.parse::<u16>().is_ok(), "{port:?} is no port from 0 to 65535: {example}");
    Ok(text.to_owned())
}
