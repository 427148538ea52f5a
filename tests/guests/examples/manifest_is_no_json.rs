//! Has a manifest that is not JSON.

use outrigger_sdk::Plugin;

struct Guest;

outrigger_sdk::export!(Guest);

impl Plugin for Guest {
    fn manifest() -> String {
        "not JSON".to_owned()
    }
}
