//! Where fuzzing begins: the requests of the recordings in `tests/oracle`, a few inputs written by hand, and what
//! fuzzing has found once (`tests/fuzz/found/TARGET`).

mod recordings;
mod written;

use std::path::{Path, PathBuf};

use anyhow::Result;

/// The inputs that the target `name` begins with.
pub fn of(name: &str) -> Result<Vec<Vec<u8>>> {
    let mut seeds = written::seeds(name);
    for file in files(&root().join("tests/fuzz/found").join(name))? {
        seeds.push(std::fs::read(file)?);
    }
    seeds.extend(recordings::seeds(name)?);
    seeds.sort();
    seeds.dedup();
    Ok(seeds)
}

fn root() -> &'static Path {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    tests
        .and_then(Path::parent)
        .expect("the crate lies in the repository")
}

/// All files below a folder; none where it is not there.
fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(folder) else {
            continue;
        };
        for entry in entries {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

/// An input of two parts.
fn joined(first: &[u8], second: &[u8]) -> Vec<u8> {
    [first, &[crate::SEPARATOR], second].concat()
}

/// An input that begins with a choice.
fn chosen(choice: u8, rest: &[u8]) -> Vec<u8> {
    [&[choice], rest].concat()
}
