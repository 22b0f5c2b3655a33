//! All of Fanfare on one machine.
//!
//! One process interprets the template: it plays DynamoDB, SQS, API Gateway, Lambda, EventBridge and
//! the vendors' servers, and starts itself again as `--function NAME` for every execution
//! environment, so that the functions run as they do on AWS, each in a process of its own over the
//! real Lambda runtime.

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
pub mod logs;
pub mod mapping;
mod net;
pub mod schedule;
pub mod scheduler;
pub mod sqs;
pub mod stack;
pub mod template;
pub mod usage;
pub mod vendors;

pub use cli::main;
