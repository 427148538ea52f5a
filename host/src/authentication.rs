//! Who asks: request header (front proxy), client certificate, bearer token, in this order.

pub mod client_certificate;
pub mod request_header;
pub mod token_review;
