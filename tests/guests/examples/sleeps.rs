//! Sleeps for an hour in validate.

use outrigger_sdk::{Failure, Object, Plugin, Target, Validate, Warnings};

struct Guest;

outrigger_sdk::export!(Guest: Validate);

impl Plugin for Guest {
    fn manifest() -> String {
        guests::manifest("sleepers.example.com", "Sleeper", "sleepers")
    }
}

impl Validate for Guest {
    fn validate(_: &Target, new: &Object, _: Option<&Object>) -> Result<Warnings, Failure> {
        if !guests::is_calm(new) {
            std::thread::sleep(std::time::Duration::from_secs(3600));
        }
        Ok(Warnings::new())
    }
}
