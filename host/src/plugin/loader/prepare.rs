//! Components from their files to what can be served: as many at once as there are processors, what is compiled
//! already before what is not.

use std::collections::VecDeque;
use std::io::Read as _;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::runtime::Handle;
use tokio::task::JoinSet;
use wasmtime::component::Component;

use super::document::PluginSpec;
use super::folder::File;
use crate::ambient::processors;
use crate::plugin::LoadError;
use crate::plugin::capability::Capabilities;
use crate::plugin::compile_cache::{CompileCache, Known};
use crate::plugin::load::{Checked, Host, check_bytes, digest_of, question};

/// A file that is to be looked at, and what it gets.
pub(super) struct Job {
    pub(super) file: File,
    /// The plugin's.
    pub(super) name: String,
    pub(super) spec: PluginSpec,
    pub(super) capabilities: Capabilities,
}

/// What a look at a file has found.
pub(super) enum Prepared {
    Checked {
        checked: Box<Checked>,
        digest: String,
    },
    Refused(LoadError),
    /// It has to be compiled first.
    Uncompiled,
    /// It is still being written: it will be looked at again.
    Unsettled,
}

pub(super) struct Preparer {
    host: Host,
    cache: CompileCache,
}

impl Preparer {
    pub(super) fn new(host: Host, cache: CompileCache) -> Self {
        Self { host, cache }
    }

    /// Looks at all of them; the answers are in the order of the jobs. A file that has not come to rest is read, too:
    /// content that was compiled before is whole.
    pub(super) async fn prepare(self: &Arc<Self>, jobs: Vec<Job>) -> Vec<(Job, Prepared)> {
        let threads = processors().min(jobs.len());
        let queue = Queue(Arc::new(Mutex::new(jobs.into_iter().enumerate().collect())));
        let mut lanes = JoinSet::new();
        for _ in 0..threads {
            let (preparer, queue, runtime) =
                (Arc::clone(self), Arc::clone(&queue.0), Handle::current());
            lanes.spawn_blocking(move || {
                let (mut done, mut room) = (Vec::new(), Room::default());
                while let Some((at, job)) = next(&queue) {
                    let look = preparer.look(&job, &mut room);
                    let look = AssertUnwindSafe(|| runtime.block_on(look));
                    let prepared = std::panic::catch_unwind(look).unwrap_or_else(|_| panicked());
                    done.push((at, (job, prepared)));
                }
                done
            });
        }
        let mut done = Vec::new();
        while let Some(lane) = lanes.join_next().await {
            done.extend(lane.unwrap_or_default());
        }
        done.sort_by_key(|(at, _)| *at);
        done.into_iter().map(|(_, it)| it).collect()
    }

    async fn look(&self, job: &Job, room: &mut Room) -> Prepared {
        match read(&job.file, &mut room.content) {
            Ok(true) => {}
            Ok(false) => return Prepared::Unsettled,
            Err(_) if !job.file.is_settled => return Prepared::Unsettled,
            Err(error) => return Prepared::Refused(error),
        }
        let content = self.content(job, &room.content);
        let engine = self.host.engine();
        match self.cache.find(engine, &content.digest, &mut room.chunk) {
            Some(component) => self.check(job, content, &component).await,
            None if !job.file.is_settled => Prepared::Unsettled,
            None => Prepared::Uncompiled,
        }
    }

    /// The same for a file that has to be compiled. Takes seconds, and at most a minute.
    pub(super) async fn compile(&self, job: &Job) -> Prepared {
        let mut bytes = Vec::new();
        match read(&job.file, &mut bytes) {
            Ok(true) => {}
            Ok(false) => return Prepared::Unsettled,
            Err(error) => return Prepared::Refused(error),
        }
        let content = self.content(job, &bytes);
        let engine = self.host.engine();
        match self.cache.compile(engine, &content.digest, &bytes).await {
            Ok(component) => self.check(job, content, &component).await,
            Err(error) => Prepared::Refused(error),
        }
    }

    /// What is known of the bytes of a file, or is found out at once.
    fn content<'a>(&self, job: &Job, bytes: &'a [u8]) -> Content<'a> {
        let question = question(&job.capabilities, &job.spec.limits());
        match self.cache.known(&job.name, bytes) {
            Some(known) => Content {
                bytes,
                manifest: (known.question == question).then_some(known.manifest),
                digest: known.digest,
                question,
            },
            None => Content {
                bytes,
                digest: digest_of(bytes),
                question,
                manifest: None,
            },
        }
    }

    async fn check(&self, job: &Job, content: Content<'_>, component: &Component) -> Prepared {
        let (capabilities, limits) = (job.capabilities.clone(), job.spec.limits());
        let is_known = content.manifest.is_some();
        let checked = self
            .host
            .check(component, capabilities, limits, content.manifest)
            .await;
        let checked = match checked {
            Ok(checked) => checked,
            Err(error) => return Prepared::Refused(error),
        };
        let digest = content.digest.clone();
        if !is_known {
            let known = Known {
                digest: content.digest,
                question: content.question,
                manifest: checked.manifest.clone(),
            };
            self.cache.keep_known(&job.name, content.bytes, &known);
        }
        Prepared::Checked {
            checked: Box::new(checked),
            digest,
        }
    }
}

/// What a thread reads into, one file after another.
#[derive(Default)]
struct Room {
    content: Vec<u8>,
    chunk: Vec<u8>,
}

/// The bytes of a file, and what there is to say of them.
struct Content<'a> {
    bytes: &'a [u8],
    /// SHA-256, hex.
    digest: String,
    question: String,
    /// The answer to the question, where it is known.
    manifest: Option<String>,
}

/// Reads all of a file; `false` where it has changed since it was found.
fn read(file: &File, into: &mut Vec<u8>) -> Result<bool, LoadError> {
    into.clear();
    std::fs::File::open(&file.path)
        .and_then(|mut it| it.read_to_end(into))
        .map_err(|error| LoadError::passing(format!("cannot be read: {error}")))?;
    if !file.is_whole(into) {
        return Ok(false);
    }
    check_bytes(into)?;
    Ok(true)
}

fn panicked() -> Prepared {
    let text = "makes this host fail as it loads it: please report it, with the file".to_owned();
    Prepared::Refused(LoadError::lasting(text))
}

type Jobs = Mutex<VecDeque<(usize, Job)>>;

/// Empty once nobody waits for the answers: the threads end then.
struct Queue(Arc<Jobs>);

impl Drop for Queue {
    fn drop(&mut self) {
        lock(&self.0).clear();
    }
}

fn next(jobs: &Jobs) -> Option<(usize, Job)> {
    lock(jobs).pop_front()
}

/// A queue cannot be half changed by a panic.
fn lock(jobs: &Jobs) -> std::sync::MutexGuard<'_, VecDeque<(usize, Job)>> {
    jobs.lock().unwrap_or_else(PoisonError::into_inner)
}
