//! The generation after `generation_1`: it refuses other sizes.

use outrigger_sdk::{Failure, Object, Plugin, Target, Validate, Warnings};

struct Guest;

outrigger_sdk::export!(Guest: Validate);

impl Plugin for Guest {
    fn manifest() -> String {
        guests::manifest("generations.example.com", "Generation", "generations")
    }
}

impl Validate for Guest {
    fn validate(_: &Target, new: &Object, _: Option<&Object>) -> Result<Warnings, Failure> {
        guests::check_size(new, 2)?;
        Ok(Warnings::new())
    }
}
