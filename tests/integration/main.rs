//! Through the socket of `outrigger dev`, with real plugins; what of the loader no socket shows; and what the
//! repository's text must keep to.

mod anchors;
mod api;
mod arrows;
mod backups;
mod bad_input;
mod clock;
mod durability;
mod encryption;
mod errors;
mod hand_over;
mod linearizability;
mod loading;
mod misbehaving;
mod odd_requests;
mod plugins;
mod reads;
mod sources;
mod startup;
mod tidy;
mod unreadable;
mod websocket;
mod writes;
