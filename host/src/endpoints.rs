//! HTTP requests to answers.

pub mod discovery;
pub mod get;
pub mod health;
pub mod list;
pub mod negotiation;
pub mod openapi;
pub mod request;
pub mod response;
pub mod version;
pub mod watch;

#[cfg(test)]
mod testing;
