//! `/version`: what this server is and what it is built with, as k8s.io/apimachinery's version.Info.
//!
//! `goVersion` is the compiler's version, since clients print it. There is no commit and no date in it: builds
//! of the same source are the same.

use bytes::Bytes;
use serde_json::json;

/// The indented JSON of the whole answer.
pub(super) fn document() -> Bytes {
    let (major, minor) = (
        env!("CARGO_PKG_VERSION_MAJOR"),
        env!("CARGO_PKG_VERSION_MINOR"),
    );
    let info = json!({
        "major": major,
        "minor": minor,
        "emulationMajor": major,
        "emulationMinor": minor,
        "minCompatibilityMajor": major,
        "minCompatibilityMinor": minor,
        "gitVersion": concat!("v", env!("CARGO_PKG_VERSION")),
        "gitCommit": "",
        "gitTreeState": "",
        "buildDate": "",
        "goVersion": env!("RUSTC_VERSION"),
        "compiler": "rustc",
        "platform": format!("{}/{}", std::env::consts::OS, architecture()),
    });
    let json = serde_json::to_vec_pretty(&info).expect("a JSON tree has only string keys");
    json.into()
}

/// In the words of Go, which the field is read in.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn has_the_fields_that_clients_parse() {
        let info: serde_json::Value = serde_json::from_slice(&document()).expect("JSON");
        let git_version = info["gitVersion"].as_str().expect("a string");
        let numbers: Vec<&str> = git_version
            .strip_prefix('v')
            .expect("a version begins with v")
            .split('.')
            .collect();
        assert_eq!(numbers[..2], [&info["major"], &info["minor"]]);
        assert_eq!(numbers.len(), 3);
        let rustc = info["goVersion"].as_str().expect("a string");
        assert!(rustc.starts_with("rustc 1."), "{rustc}");
        assert!(info["platform"].as_str().expect("a string").contains('/'));
    }
}
