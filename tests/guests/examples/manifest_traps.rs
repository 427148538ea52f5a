//! Panics when it is asked for its manifest.

use outrigger_sdk::Plugin;

struct Guest;

outrigger_sdk::export!(Guest);

impl Plugin for Guest {
    fn manifest() -> String {
        panic!("a guest without a manifest")
    }
}
