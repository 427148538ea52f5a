//! Components from their files to what can be served: as many at once as there are processors, what is compiled
//! already before what is not.

use std::collections::VecDeque;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::runtime::Handle;
use tokio::task::JoinSet;
use wasmtime::component::Component;

use super::document::PluginSpec;
use super::folder::File;
use crate::plugin::LoadError;
use crate::plugin::capability::Capabilities;
use crate::plugin::compile_cache::CompileCache;
use crate::plugin::load::{Checked, Host, check_bytes, digest_of};

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
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let threads = processors.min(jobs.len());
        let queue = Queue(Arc::new(Mutex::new(jobs.into_iter().enumerate().collect())));
        let mut lanes = JoinSet::new();
        for _ in 0..threads {
            let (preparer, queue, runtime) =
                (Arc::clone(self), Arc::clone(&queue.0), Handle::current());
            lanes.spawn_blocking(move || {
                let mut done = Vec::new();
                while let Some((at, job)) = next(&queue) {
                    let look = AssertUnwindSafe(|| runtime.block_on(preparer.look(&job)));
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

    async fn look(&self, job: &Job) -> Prepared {
        let (digest, _) = match content(&job.file) {
            Ok(Some(content)) => content,
            Ok(None) => return Prepared::Unsettled,
            Err(_) if !job.file.is_settled => return Prepared::Unsettled,
            Err(error) => return Prepared::Refused(error),
        };
        match self.cache.find(self.host.engine(), &digest) {
            Some(component) => self.check(job, digest, &component).await,
            None if !job.file.is_settled => Prepared::Unsettled,
            None => Prepared::Uncompiled,
        }
    }

    /// The same for a file that has to be compiled. Takes seconds, and at most a minute.
    pub(super) async fn compile(&self, job: &Job) -> Prepared {
        let (digest, bytes) = match content(&job.file) {
            Ok(Some(content)) => content,
            Ok(None) => return Prepared::Unsettled,
            Err(error) => return Prepared::Refused(error),
        };
        let engine = self.host.engine();
        match self.cache.compile(engine, &digest, &bytes).await {
            Ok(component) => self.check(job, digest, &component).await,
            Err(error) => Prepared::Refused(error),
        }
    }

    async fn check(&self, job: &Job, digest: String, component: &Component) -> Prepared {
        let (capabilities, limits) = (job.capabilities.clone(), job.spec.limits());
        match self.host.check(component, capabilities, limits).await {
            Ok(checked) => Prepared::Checked {
                checked: Box::new(checked),
                digest,
            },
            Err(error) => Prepared::Refused(error),
        }
    }
}

/// Digest and bytes; `None` where the file has changed since it was found.
fn content(file: &File) -> Result<Option<(String, Vec<u8>)>, LoadError> {
    let bytes = std::fs::read(&file.path)
        .map_err(|error| LoadError::passing(format!("cannot be read: {error}")))?;
    if !file.is_whole(&bytes) {
        return Ok(None);
    }
    check_bytes(&bytes)?;
    Ok(Some((digest_of(&bytes), bytes)))
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
