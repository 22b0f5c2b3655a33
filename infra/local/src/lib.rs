#![doc = include_str!("../README.md")]

pub mod caller;
pub mod cli;
pub mod clock;
pub mod control;
pub mod demo;
pub mod dynamodb;
pub mod faults;
pub mod functions;
pub mod gate;
pub mod gateway;
pub mod lambda;
pub mod listen;
pub mod logs;
pub mod mapping;
pub mod metrics;
mod net;
pub mod rights;
pub mod schedule;
pub mod scheduler;
pub mod sqs;
pub mod stack;
pub mod template;
mod threads;
pub mod usage;
pub mod vendors;
pub mod webhook;

pub use cli::main;
