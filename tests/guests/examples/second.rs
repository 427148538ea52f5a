//! A plugin that behaves, to be added while another one serves.

use outrigger_sdk::Plugin;

struct Guest;

outrigger_sdk::export!(Guest);

impl Plugin for Guest {
    fn manifest() -> String {
        guests::manifest("second.example.com", "Parcel", "parcels")
    }
}
