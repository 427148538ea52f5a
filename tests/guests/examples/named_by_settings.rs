//! A plugin whose operator names its resource: the setting `plural`, or `unnamed`.

use outrigger_sdk::{Plugin, Value, config};

struct Guest;

outrigger_sdk::export!(Guest);

impl Plugin for Guest {
    fn manifest() -> String {
        let settings: Value = config::settings().unwrap_or_default();
        let plural = settings["plural"].as_str().unwrap_or("unnamed");
        guests::manifest("named.example.com", "Named", plural)
    }
}
