//! Never comes back from validate.

use outrigger_sdk::{Failure, Object, Plugin, Target, Validate, Warnings};

struct Guest;

outrigger_sdk::export!(Guest: Validate);

impl Plugin for Guest {
    fn manifest() -> String {
        guests::manifest("loops.example.com", "Loop", "loops")
    }
}

impl Validate for Guest {
    fn validate(_: &Target, new: &Object, _: Option<&Object>) -> Result<Warnings, Failure> {
        while !guests::is_calm(std::hint::black_box(new)) {
            std::hint::spin_loop();
        }
        Ok(Warnings::new())
    }
}
