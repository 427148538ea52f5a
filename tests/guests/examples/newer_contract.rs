//! Is built against a later minor version of the contract: it imports an interface that there is not.

wit_bindgen::generate!({
    inline: "
        package outrigger:plugin@1.0.0;
        interface manifest {
            describe: func() -> string;
        }
        interface teleport {
            away: func();
        }
        world plugin {
            import teleport;
            export manifest;
        }
    ",
});

struct Guest;

#[cfg(target_arch = "wasm32")]
export!(Guest);

impl exports::outrigger::plugin::manifest::Guest for Guest {
    fn describe() -> String {
        outrigger::plugin::teleport::away();
        guests::manifest("newer.example.com", "Newer", "newers")
    }
}
