//! Through the socket of `outrigger dev`, with real plugins; and what the repository's text must keep to.

mod arrows;
mod sources;
mod tidy;
