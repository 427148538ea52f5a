//! What was made of components and found out about them, on disk in `<data-dir>/compiled`:
//!
//! - `<digest>-<compatibility>.cwasm`: a compiled component. Compiled code is run as it is, so that only files that
//!   this installation wrote are mapped: `….cwasm.seals` beside it has a seal of each MiB.
//! - `<plugin>.known`: what the component of a plugin is by its digest, and its manifest; it can be read beside the very
//!   bytes of that component alone.
//!
//! [Seals](seals) are made with a key of the installation that only its owner can read. Files appear whole, by a rename.
//! One that is damaged or of another wasmtime is written again.
//!
//! Two processes may use the folder: one that takes it over compiles before the other has left. So each writes under
//! names of its own; what a killed one left is removed after an hour.

mod seals;

use std::fs::File;
use std::hash::{Hash, Hasher};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use aws_lc_rs::rand;
use serde::{Deserialize, Serialize};
use wasmtime::component::Component;

use self::seals::{KEY_BYTES, Seals};
use super::LoadError;
use super::compile::Compiler;
use super::engine::Engine;

/// What is sealed of a compiled component at once: it stays in a processor's own cache.
const CHUNK_BYTES: u64 = 1 << 20;

/// No compilation takes longer.
const LEFT_BEHIND: Duration = Duration::from_secs(60 * 60);

pub(crate) struct CompileCache {
    folder: PathBuf,
    seals: Seals,
    compiler: Compiler,
}

/// What is known of a component without looking at more than its bytes.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Known {
    /// SHA-256, hex.
    pub(crate) digest: String,
    /// What the manifest depends on besides the component.
    pub(crate) question: String,
    pub(crate) manifest: String,
}

impl CompileCache {
    /// # Errors
    /// The folder cannot be made, or the key in it cannot be read.
    pub(crate) fn open(data_dir: &Path, compiler: Compiler) -> anyhow::Result<Self> {
        let folder = data_dir.join("compiled");
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&folder)
            .with_context(|| format!("{} cannot be made", folder.display()))?;
        let key = installation_key(&folder.join("key"))?;
        remove_left_behind(&folder);
        Ok(Self {
            folder,
            seals: Seals::new(&key),
            compiler,
        })
    }

    /// What was kept for this plugin, if it was for this component.
    pub(crate) fn known(&self, plugin: &str, component: &[u8]) -> Option<Known> {
        let seal = std::fs::read(self.known_path(plugin)).ok()?;
        let text = self.seals.open(seal, component)?;
        serde_json::from_slice(&text).ok()
    }

    /// Keeps it for the next start, which takes longer where that fails.
    pub(crate) fn keep_known(&self, plugin: &str, component: &[u8], known: &Known) {
        let text = serde_json::to_vec(known).expect("texts are JSON");
        let path = self.known_path(plugin);
        let written = self.seals.seal(&text, component).and_then(|seal| {
            let temporary = self.temporary(&format!("{plugin}.known"));
            write_private(&temporary, &seal)?;
            Ok(std::fs::rename(&temporary, &path)?)
        });
        if let Err(error) = written {
            tracing::warn!(
                plugin.name = plugin,
                path = path.display().to_string(),
                error = format!("{error:#}"),
                "what is known of a plugin could not be kept for the next start"
            );
        }
    }

    fn known_path(&self, plugin: &str) -> PathBuf {
        self.folder.join(format!("{plugin}.known"))
    }

    /// Where this process writes what will be `name`.
    fn temporary(&self, name: &str) -> PathBuf {
        let writer = uuid::Uuid::new_v4();
        self.folder.join(format!("{name}.{writer}.new"))
    }

    /// The component with this digest, where it has been compiled before. `chunk` is room to read into.
    pub(crate) fn find(
        &self,
        engine: &Engine,
        digest: &str,
        chunk: &mut Vec<u8>,
    ) -> Option<Component> {
        let name = name(engine, digest);
        self.load(engine, &name, &self.folder.join(&name), chunk)
    }

    /// Compiles the component with these bytes, and keeps it.
    pub(crate) async fn compile(
        &self,
        engine: &Engine,
        digest: &str,
        bytes: &[u8],
    ) -> Result<Component, LoadError> {
        let name = name(engine, digest);
        let path = self.folder.join(&name);
        let temporary = self.temporary(&name);
        let compiled = self.compiler.compile(bytes, &temporary).await;
        if compiled.is_err() {
            // There is none, mostly.
            let _ = std::fs::remove_file(&temporary);
        }
        compiled?;
        self.put(&name, &temporary, &path).map_err(|error| {
            LoadError::passing(format!("its compiled form cannot be kept: {error:#}"))
        })?;
        self.load(engine, &name, &path, &mut Vec::new())
            .ok_or_else(|| {
                LoadError::passing(format!(
                    "its compiled form {} cannot be read",
                    path.display()
                ))
            })
    }

    /// `None`: there is none, or none that can be used.
    fn load(
        &self,
        engine: &Engine,
        name: &str,
        path: &Path,
        chunk: &mut Vec<u8>,
    ) -> Option<Component> {
        let seals = std::fs::read(seals_path(path)).ok()?;
        let file = File::open(path).ok()?;
        if !self.is_ours(name, file, &seals, chunk) {
            tracing::warn!(
                path = path.display().to_string(),
                "a compiled plugin is damaged: it is compiled again"
            );
            return None;
        }
        match deserialize(engine, path) {
            Ok(component) => Some(component),
            Err(error) => {
                tracing::warn!(
                    path = path.display().to_string(),
                    error = format!("{error:#}"),
                    "a compiled plugin does not fit: it is compiled again"
                );
                None
            }
        }
    }

    /// Whether this installation wrote all of `file`, as `name`.
    fn is_ours(&self, name: &str, file: File, seals: &[u8], chunk: &mut Vec<u8>) -> bool {
        let length = seals::length(chunk_name(name, 0, 0).len());
        let count = seals.len() / length;
        let mut sealed = seals.chunks(length).enumerate();
        let is_each = each_chunk(file, chunk, |chunk| {
            let (at, seal) = sealed.next().context("it has no seal")?;
            let text = self.seals.open(seal.to_vec(), chunk);
            let expected = chunk_name(name, at, count);
            ensure!(
                text.as_deref() == Some(expected.as_bytes()),
                "it is not ours"
            );
            Ok(())
        });
        is_each.is_ok() && sealed.next().is_none() && count > 0
    }

    /// Puts a compiled file and its seals in place, the seals last.
    fn put(&self, name: &str, temporary: &Path, path: &Path) -> anyhow::Result<()> {
        let file = File::open(temporary)?;
        let bytes = file.metadata()?.len();
        let count = usize::try_from(bytes.div_ceil(CHUNK_BYTES))?;
        let (mut seals, mut at) = (Vec::new(), 0);
        each_chunk(file, &mut Vec::new(), |chunk| {
            let text = chunk_name(name, at, count);
            seals.extend(self.seals.seal(text.as_bytes(), chunk)?);
            at += 1;
            Ok(())
        })?;
        let temporary_seals = seals_path(temporary);
        write_private(&temporary_seals, &seals)?.sync_all()?;
        File::open(temporary)?.sync_all()?;
        std::fs::rename(temporary, path)?;
        std::fs::rename(&temporary_seals, seals_path(path))?;
        Ok(())
    }
}

/// Reads a file in pieces of [`CHUNK_BYTES`], of which the last one is shorter; `chunk` is room to read into.
fn each_chunk(
    mut file: File,
    chunk: &mut Vec<u8>,
    mut look: impl FnMut(&[u8]) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    loop {
        chunk.clear();
        (&mut file).take(CHUNK_BYTES).read_to_end(chunk)?;
        if chunk.is_empty() {
            return Ok(());
        }
        look(chunk)?;
    }
}

/// What the seal of a chunk says: a file may not stand in for another, and has all of its chunks in their order. All of
/// one file are of one length.
fn chunk_name(name: &str, at: usize, count: usize) -> String {
    format!("{name} {at:08} of {count:08}")
}

/// What is half written and nobody writes any more.
fn remove_left_behind(folder: &Path) {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    for entry in entries {
        let name = entry.file_name().to_string_lossy().into_owned();
        let modified = entry.metadata().and_then(|it| it.modified());
        let is_old = modified.is_ok_and(|it| it.elapsed().is_ok_and(|it| it > LEFT_BEHIND));
        if name.contains(".new") && is_old {
            // Room on the disk, no more: it is tried again at the next start.
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

fn seals_path(path: &Path) -> PathBuf {
    let mut path = path.as_os_str().to_owned();
    path.push(".seals");
    path.into()
}

fn name(engine: &Engine, digest: &str) -> String {
    format!("{digest}-{:016x}.cwasm", compatibility(engine))
}

/// Of everything that decides about compiled code: wasmtime's version, the machine, the settings.
pub(crate) fn compatibility(engine: &Engine) -> u64 {
    /// FNV-1a: the same in every build, which std's hasher does not promise.
    struct Fnv(u64);
    impl Hasher for Fnv {
        fn finish(&self) -> u64 {
            self.0
        }
        fn write(&mut self, bytes: &[u8]) {
            for byte in bytes {
                self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
            }
        }
    }
    let mut hasher = Fnv(0xcbf2_9ce4_8422_2325);
    let environment = engine.wasmtime().precompile_compatibility_hash();
    environment.hash(&mut hasher);
    hasher.finish()
}

fn installation_key(path: &Path) -> anyhow::Result<[u8; KEY_BYTES]> {
    match std::fs::read(path).map(<[u8; KEY_BYTES]>::try_from) {
        Ok(Ok(key)) => return Ok(key),
        // Everything that it sealed is made again.
        Ok(Err(_)) => std::fs::remove_file(path)
            .with_context(|| format!("{} is damaged and cannot be removed", path.display()))?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => {
            return Err(error).with_context(|| format!("{} cannot be read", path.display()));
        }
    }
    let mut key = [0; KEY_BYTES];
    rand::fill(&mut key).map_err(|_| anyhow::anyhow!("the system has no randomness"))?;
    write_private(path, &key)
        .and_then(|key| key.sync_all())
        .with_context(|| format!("{} cannot be written", path.display()))?;
    Ok(key)
}

/// The file, which is not synced yet.
fn write_private(path: &Path, content: &[u8]) -> std::io::Result<File> {
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(content)?;
    Ok(file)
}

#[expect(
    unsafe_code,
    reason = "mapping compiled code is unsafe by nature: it is run as it is"
)]
fn deserialize(engine: &Engine, path: &Path) -> wasmtime::Result<Component> {
    // SAFETY: the content was written by this installation, in a folder that only its user can enter, and has
    // just been checked against its seals; files here are replaced by renames, never changed in place.
    unsafe { Component::deserialize_file(engine.wasmtime(), path) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cache(data_dir: &Path) -> CompileCache {
        let compiler = Compiler::new(PathBuf::from("/no/compiler"));
        CompileCache::open(data_dir, compiler).expect("opened")
    }

    #[test]
    fn knows_a_file_of_this_installation_by_its_name_and_all_of_its_chunks() {
        let folder = tempfile::tempdir().expect("a folder");
        let cache = cache(folder.path());
        let (new, path) = (folder.path().join("new"), folder.path().join("a.cwasm"));
        let mib = 1 << 20;
        let content: Vec<u8> = (0..2 * mib + 5).map(|it| (it / mib) as u8).collect();
        std::fs::write(&new, &content).expect("written");
        cache.put("a.cwasm", &new, &path).expect("put");
        let seals = std::fs::read(seals_path(&path)).expect("read");
        let is_ours = |name: &str, content: &[u8], seals: &[u8]| {
            std::fs::write(&path, content).expect("written");
            let file = File::open(&path).expect("opened");
            cache.is_ours(name, file, seals, &mut Vec::new())
        };
        assert!(is_ours("a.cwasm", &content, &seals));
        assert!(!is_ours("b.cwasm", &content, &seals));
        assert!(!is_ours("a.cwasm", &content[..2 * mib], &seals));
        assert!(!is_ours("a.cwasm", b"", b""));
        let length = seals.len() / 3;
        let first_two = &seals[..2 * length];
        assert!(!is_ours("a.cwasm", &content[..2 * mib], first_two));
        let swapped = [&content[mib..2 * mib], &content[..mib], &content[2 * mib..]].concat();
        let seals_swapped = [
            &seals[length..2 * length],
            &seals[..length],
            &seals[2 * length..],
        ];
        assert!(!is_ours("a.cwasm", &swapped, &seals_swapped.concat()));
        let mut damaged = content.clone();
        damaged[mib + 7] ^= 1;
        assert!(!is_ours("a.cwasm", &damaged, &seals));
        assert!(is_ours("a.cwasm", &content, &seals));
    }

    #[test]
    fn what_is_known_of_a_component_is_known_of_no_other() {
        let folder = tempfile::tempdir().expect("a folder");
        let known = Known {
            digest: "d".into(),
            question: "q".into(),
            manifest: "{}".into(),
        };
        cache(folder.path()).keep_known("a", b"one", &known);
        // After a restart.
        let cache = cache(folder.path());
        assert_eq!(cache.known("a", b"one"), Some(known));
        assert_eq!(cache.known("a", b"two"), None);
        assert_eq!(cache.known("b", b"one"), None);
    }
}
