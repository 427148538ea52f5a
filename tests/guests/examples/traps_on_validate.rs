//! Panics when it is asked to validate.

use outrigger_sdk::{Failure, Object, Plugin, Target, Validate, Warnings};

struct Guest;

outrigger_sdk::export!(Guest: Validate);

impl Plugin for Guest {
    fn manifest() -> String {
        guests::manifest("traps.example.com", "Trap", "traps")
    }
}

impl Validate for Guest {
    fn validate(_: &Target, new: &Object, _: Option<&Object>) -> Result<Warnings, Failure> {
        assert!(guests::is_calm(new), "a guest that traps");
        Ok(Warnings::new())
    }
}
