//! Takes all memory that it gets.

use outrigger_sdk::{Failure, Object, Plugin, Target, Validate, Warnings};

struct Guest;

outrigger_sdk::export!(Guest: Validate);

impl Plugin for Guest {
    fn manifest() -> String {
        guests::manifest("hogs.example.com", "Hog", "hogs")
    }
}

impl Validate for Guest {
    fn validate(_: &Target, new: &Object, _: Option<&Object>) -> Result<Warnings, Failure> {
        let mut hoard = Vec::new();
        while !guests::is_calm(new) {
            hoard.push(std::hint::black_box(vec![1_u8; 1 << 20]));
        }
        Ok(Warnings::new())
    }
}
