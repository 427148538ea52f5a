//! Through the socket of `outrigger dev`, with real plugins.
