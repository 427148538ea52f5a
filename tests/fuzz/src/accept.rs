//! Accept and Content-Type headers.

use http::{HeaderMap, HeaderValue, header};
use outrigger::endpoints::negotiation;

/// Whatever a client says, it gets an answer, and the same one again.
pub fn run(data: &[u8]) {
    let Ok(value) = HeaderValue::from_bytes(data) else {
        return;
    };
    let mut headers = HeaderMap::new();
    headers.insert(header::ACCEPT, value.clone());
    headers.insert(header::CONTENT_TYPE, value);
    for pretty in ["", "true"] {
        let accepted = negotiation::accept_resource(&headers, pretty);
        assert_eq!(accepted, negotiation::accept_resource(&headers, pretty));
        if let Err(status) = accepted {
            assert_eq!(status.code, 406);
        }
        let _ = negotiation::accept_status(&headers, pretty);
    }
    if let Err(status) = negotiation::content_type(&headers) {
        assert_eq!(status.code, 415);
    }
}
