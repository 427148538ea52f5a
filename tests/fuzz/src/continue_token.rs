//! Continue tokens, which clients can edit.

use outrigger::storage::continue_token::ContinueToken;

const PREFIX: &str = "objects/g/anchors/default/";

/// A token never leads out of what is listed, and what it says can be written again.
pub fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let Ok(token) = ContinueToken::decode(text, PREFIX) else {
        return;
    };
    let below = token
        .start
        .strip_prefix(PREFIX)
        .expect("below what is listed");
    assert!(
        below.split('/').all(|it| !matches!(it, "" | "." | "..")),
        "{below:?}"
    );
    assert_eq!(
        ContinueToken::decode(&token.encode(PREFIX), PREFIX),
        Ok(token)
    );
}
