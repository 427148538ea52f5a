//! A backend that fails each call, as one whose own store is out of reach.

use outrigger_sdk::{Backend, Failure, ListOptions, Object, Page, Plugin, Target, json};

struct Guest;

outrigger_sdk::export!(Guest: Backend);

impl Plugin for Guest {
    fn manifest() -> String {
        let names = json!({"kind": "Silence", "plural": "silences"});
        json!({"resources": [{
            "group": "silent.example.com", "names": names, "backend": {"watch": "relist"},
            "versions": [{"name": "v1"}],
        }]})
        .to_string()
    }
}

impl Backend for Guest {
    fn get(_: &Target, _: &str) -> Result<Object, Failure> {
        Err(out_of_reach())
    }

    fn list(_: &Target, _: &ListOptions) -> Result<Page, Failure> {
        Err(out_of_reach())
    }

    fn create(_: &Target, _: Object) -> Result<Object, Failure> {
        Err(out_of_reach())
    }

    fn update(_: &Target, _: Object, _: Option<&str>) -> Result<Object, Failure> {
        Err(out_of_reach())
    }

    fn delete(_: &Target, _: &str, _: Option<&str>) -> Result<Option<Object>, Failure> {
        Err(out_of_reach())
    }
}

fn out_of_reach() -> Failure {
    Failure::new(503, "ServiceUnavailable", "the store is out of reach")
}
