//! Serves what `examples/hello` serves.

use outrigger_sdk::Plugin;

struct Guest;

outrigger_sdk::export!(Guest);

impl Plugin for Guest {
    fn manifest() -> String {
        guests::manifest("hello.example.com", "Greeting", "greetings")
    }
}
