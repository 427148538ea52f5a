//! The request's body, read within its limit.

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::Incoming;

use crate::api::status::{self, Result};

/// kube-apiserver's limit of a request's body, in bytes.
pub const BODY_MAX_BYTES: usize = 3 * 1024 * 1024;

/// Reads the whole body.
pub async fn read(body: Option<Incoming>) -> Result<Bytes> {
    let Some(mut body) = body else {
        return Ok(Bytes::new());
    };
    let mut read = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame
            .map_err(|error| status::bad_request(format!("the body could not be read: {error}")))?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        if read.len() + data.len() > BODY_MAX_BYTES {
            return Err(status::too_large(BODY_MAX_BYTES));
        }
        read.extend_from_slice(&data);
    }
    Ok(read.freeze())
}
