//! Recorded answers of real Kubernetes servers: what was sent, what came back, and whether another server's answer
//! is the same.
//!
//! All of it is pure: who sends the requests is `tests/oracle`. The format is in `tests/oracle/recordings/README.md`.

pub mod case;
pub mod compare;
pub mod json;
pub mod normalise;
pub mod openapi;
pub mod placeholders;
pub mod tables;
