//! Panics whatever it is asked, but for its manifest.

use outrigger_sdk::{
    Backend, Columns, Convert, Defaults, Failure, ListOptions, Mutate, Object, Page, Plugin,
    Target, Validate, Value, Warnings,
};

struct Wreck;

outrigger_sdk::export!(Wreck: Defaults, Mutate, Validate, Convert, Columns, Backend);

const WRECKED: &str = "a guest that traps on every call";

impl Plugin for Wreck {
    fn manifest() -> String {
        guests::ships::manifest()
    }
}

impl Defaults for Wreck {
    fn defaults(_: &Target, _: &mut Object) -> Result<(), Failure> {
        panic!("{WRECKED}")
    }
}

impl Mutate for Wreck {
    fn mutate(_: &Target, _: &mut Object, _: Option<&Object>) -> Result<Warnings, Failure> {
        panic!("{WRECKED}")
    }
}

impl Validate for Wreck {
    fn validate(_: &Target, _: &Object, _: Option<&Object>) -> Result<Warnings, Failure> {
        panic!("{WRECKED}")
    }
}

impl Convert for Wreck {
    fn convert(_: &mut Object, _: &str) -> Result<(), Failure> {
        panic!("{WRECKED}")
    }
}

impl Columns for Wreck {
    fn cells(_: &Target, _: &Object) -> Result<Vec<Value>, Failure> {
        panic!("{WRECKED}")
    }
}

impl Backend for Wreck {
    fn get(_: &Target, _: &str) -> Result<Object, Failure> {
        panic!("{WRECKED}")
    }

    fn list(_: &Target, _: &ListOptions) -> Result<Page, Failure> {
        panic!("{WRECKED}")
    }

    fn create(_: &Target, _: Object) -> Result<Object, Failure> {
        panic!("{WRECKED}")
    }

    fn update(_: &Target, _: Object, _: Option<&str>) -> Result<Object, Failure> {
        panic!("{WRECKED}")
    }

    fn delete(_: &Target, _: &str, _: Option<&str>) -> Result<Option<Object>, Failure> {
        panic!("{WRECKED}")
    }
}
