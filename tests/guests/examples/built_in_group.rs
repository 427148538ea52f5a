//! Serves a group of Kubernetes itself.

use outrigger_sdk::Plugin;

struct Guest;

outrigger_sdk::export!(Guest);

impl Plugin for Guest {
    fn manifest() -> String {
        guests::manifest("apps", "Deployment", "deployments")
    }
}
