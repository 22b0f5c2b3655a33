//! What a function needs of its surroundings: settings, the AWS clients, the clock, HTTP, the log, metrics.

pub mod aws;
mod clock;
pub mod config;
pub mod http;
pub mod metrics;
pub mod telemetry;
pub mod tls;

pub use clock::Clock;
