//! Is built against another major version of the contract.

wit_bindgen::generate!({
    inline: "
        package outrigger:plugin@2.0.0;
        interface manifest {
            describe: func() -> string;
        }
        world plugin {
            export manifest;
        }
    ",
});

struct Guest;

#[cfg(target_arch = "wasm32")]
export!(Guest);

impl exports::outrigger::plugin::manifest::Guest for Guest {
    fn describe() -> String {
        guests::manifest("other.example.com", "Other", "others")
    }
}
