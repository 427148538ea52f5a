//! Has a field in its manifest that there is not.

use outrigger_sdk::Plugin;

struct Guest;

outrigger_sdk::export!(Guest);

impl Plugin for Guest {
    fn manifest() -> String {
        guests::manifest("bad.example.com", "Bad", "bads").replace("plural", "plurall")
    }
}
