//! Fuzz targets: each takes any bytes, hands them to one parser of the host and checks what must always hold.
//!
//! A target is a module with a function `run`, a program in `fuzz_targets` that hands it to libFuzzer, a `[[bin]]`
//! in Cargo.toml and a row in [`TARGETS`]. It panics on what must not be. Inputs of more than one part have a byte
//! between them that is in no UTF-8 text: [`parts`].

pub mod accept;
pub mod apply;
pub mod continue_token;
pub mod decoder;
pub mod fields_v1;
pub mod patch;
pub mod path;
pub mod schema;
pub mod seeds;
pub mod selectors;

/// A target's name and function.
pub type Target = (&'static str, fn(&[u8]));

pub const TARGETS: &[Target] = &[
    ("accept", accept::run),
    ("apply", apply::run),
    ("continue_token", continue_token::run),
    ("decoder", decoder::run),
    ("fields_v1", fields_v1::run),
    ("patch", patch::run),
    ("path", path::run),
    ("schema", schema::run),
    ("selectors", selectors::run),
];

/// Between the parts of an input.
pub const SEPARATOR: u8 = 0xff;

/// The first byte, for a choice, and the rest.
fn choice(data: &[u8]) -> Option<(usize, &[u8])> {
    let (first, rest) = data.split_first()?;
    Some((usize::from(*first), rest))
}

/// The bytes before the separator and those behind it.
#[must_use]
pub fn parts(data: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = data.iter().position(|it| *it == SEPARATOR)?;
    Some((&data[..at], &data[at + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What fuzzing has found once, and everything that targets begin with.
    #[test]
    fn targets_hold_for_all_seeds() {
        for (name, run) in TARGETS {
            let seeds = seeds::of(name).expect("seeds can be read");
            assert!(seeds.len() > 3, "{name} has {} seeds", seeds.len());
            for seed in seeds {
                run(&seed);
            }
        }
    }

    #[test]
    fn every_target_has_a_program() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz_targets");
        let mut programs: Vec<_> = std::fs::read_dir(folder)
            .expect("the folder of programs")
            .filter_map(|it| Some(it.ok()?.path().file_stem()?.to_str()?.to_owned()))
            .collect();
        programs.sort();
        let names: Vec<_> = TARGETS.iter().map(|it| it.0).collect();
        assert_eq!(programs, names);
    }
}
