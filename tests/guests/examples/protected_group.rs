//! Serves a protected group without the annotation that approves of it.

use outrigger_sdk::Plugin;

struct Guest;

outrigger_sdk::export!(Guest);

impl Plugin for Guest {
    fn manifest() -> String {
        guests::manifest("plugins.k8s.io", "Plugin", "plugins")
    }
}
