//! Compiled components on disk: `<data-dir>/compiled/<digest>-<compatibility>.cwasm`.
//!
//! Compiled code is run as it is, so that only files that this installation wrote are mapped: each is
//! followed by an HMAC-SHA256 of its name and content, with a key of the installation that only its owner
//! can read. Files appear whole, by a rename. One that is damaged or of another wasmtime is written again.
//!
//! Two processes may use the folder: one that takes it over compiles before the other has left. So each writes under
//! names of its own; what a killed one left is removed after an hour.

use std::hash::{Hash, Hasher};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use aws_lc_rs::{digest, hmac, rand};
use wasmtime::component::Component;

use super::LoadError;
use super::compile::Compiler;
use super::engine::Engine;

const KEY_BYTES: usize = 32;
/// What is read of a file at once, to digest it.
const CHUNK_BYTES: usize = 64 << 10;

/// No compilation takes longer.
const LEFT_BEHIND: Duration = Duration::from_secs(60 * 60);

pub(crate) struct CompileCache {
    folder: PathBuf,
    key: hmac::Key,
    compiler: Compiler,
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
            key: hmac::Key::new(hmac::HMAC_SHA256, &key),
            compiler,
        })
    }

    /// The component with this digest, where it has been compiled before.
    pub(crate) fn find(&self, engine: &Engine, digest: &str) -> Option<Component> {
        let name = name(engine, digest);
        self.load(engine, &name, &self.folder.join(&name))
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
        let writer = uuid::Uuid::new_v4();
        let temporary = self.folder.join(format!("{name}.{writer}.new"));
        let compiled = self.compiler.compile(bytes, &temporary).await;
        if compiled.is_err() {
            // There is none, mostly.
            let _ = std::fs::remove_file(&temporary);
        }
        compiled?;
        self.seal(&name, &temporary, &path).map_err(|error| {
            LoadError::passing(format!("its compiled form cannot be kept: {error:#}"))
        })?;
        self.load(engine, &name, &path).ok_or_else(|| {
            LoadError::passing(format!(
                "its compiled form {} cannot be read",
                path.display()
            ))
        })
    }

    /// `None`: there is none, or none that can be used.
    fn load(&self, engine: &Engine, name: &str, path: &Path) -> Option<Component> {
        let signed = signed(name, path).ok()?;
        let tag = std::fs::read(tag_path(path)).ok()?;
        if hmac::verify(&self.key, &signed, &tag).is_err() {
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

    /// Puts a compiled file and its tag in place, the tag last.
    fn seal(&self, name: &str, temporary: &Path, path: &Path) -> anyhow::Result<()> {
        let tag = hmac::sign(&self.key, &signed(name, temporary)?);
        let temporary_tag = tag_path(temporary);
        write_private(&temporary_tag, tag.as_ref())?;
        std::fs::File::open(temporary)?.sync_all()?;
        std::fs::rename(temporary, path)?;
        std::fs::rename(&temporary_tag, tag_path(path))?;
        Ok(())
    }
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

fn tag_path(path: &Path) -> PathBuf {
    let mut path = path.as_os_str().to_owned();
    path.push(".hmac");
    path.into()
}

fn name(engine: &Engine, digest: &str) -> String {
    format!("{digest}-{:016x}.cwasm", compatibility(engine))
}

/// The name is part of it: a file may not stand in for another.
fn signed(name: &str, content: &Path) -> std::io::Result<Vec<u8>> {
    let mut signed = digest::digest(&digest::SHA256, name.as_bytes())
        .as_ref()
        .to_vec();
    let mut file = std::fs::File::open(content)?;
    let (mut context, mut chunk) = (digest::Context::new(&digest::SHA256), [0; CHUNK_BYTES]);
    loop {
        let length = file.read(&mut chunk)?;
        if length == 0 {
            break;
        }
        context.update(&chunk[..length]);
    }
    signed.extend_from_slice(context.finish().as_ref());
    Ok(signed)
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

fn installation_key(path: &Path) -> anyhow::Result<Vec<u8>> {
    match std::fs::read(path) {
        Ok(key) if key.len() == KEY_BYTES => return Ok(key),
        // Everything that it signed is compiled again.
        Ok(_) => std::fs::remove_file(path)
            .with_context(|| format!("{} is damaged and cannot be removed", path.display()))?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => {
            return Err(error).with_context(|| format!("{} cannot be read", path.display()));
        }
    }
    let mut key = vec![0; KEY_BYTES];
    rand::fill(&mut key).map_err(|_| anyhow::anyhow!("the system has no randomness"))?;
    write_private(path, &key).with_context(|| format!("{} cannot be written", path.display()))?;
    Ok(key)
}

fn write_private(path: &Path, content: &[u8]) -> std::io::Result<()> {
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(content)?;
    file.sync_all()
}

#[expect(
    unsafe_code,
    reason = "mapping compiled code is unsafe by nature: it is run as it is"
)]
fn deserialize(engine: &Engine, path: &Path) -> wasmtime::Result<Component> {
    // SAFETY: the content was written by this installation, in a folder that only its user can enter, and has
    // just been checked against its HMAC; files here are replaced by renames, never changed in place.
    unsafe { Component::deserialize_file(engine.wasmtime(), path) }
}
