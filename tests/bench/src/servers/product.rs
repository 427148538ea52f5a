//! `outrigger dev`, built for release, with folders that outlive its restarts.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use outrigger::api::{Object, RequestContext};
use outrigger::storage::sqlite::{Options, SqliteStorage};
use outrigger::storage::{Expected, Record, Storage as _, Write};
use outrigger_tests::client::Client;
use outrigger_tests::host::{DevFolders, STOP_DEADLINE, free_port};
use outrigger_tests::kubeconfig::Kubeconfig;
use outrigger_tests::process::Process;

use super::Server;
use crate::report::server::OUTRIGGER;

/// With hundreds of plugins to compile.
const READY_DEADLINE: Duration = Duration::from_secs(600);
/// How often it is asked whether it is ready.
const POLL: Duration = Duration::from_millis(2);
/// Writes of one transaction that fill a store.
const BATCH: usize = 1_000;

pub(crate) struct Product {
    program: PathBuf,
    pub(crate) folders: DevFolders,
    running: Option<Running>,
}

struct Running {
    process: Process,
    port: u16,
}

impl Product {
    /// Not started yet.
    pub(crate) fn new(program: &Path) -> Result<Self> {
        Ok(Self {
            program: program.to_owned(),
            folders: DevFolders::new()?,
            running: None,
        })
    }

    /// Starts it; the time from there until it is ready.
    pub(crate) async fn start(&mut self) -> Result<Duration> {
        let port = free_port()?;
        let mut command = self.folders.command_of(&self.program, port);
        let kubeconfig = self.kubeconfig();
        // One of the run before would be taken for this one's.
        let _ = std::fs::remove_file(&kubeconfig);
        let began = Instant::now();
        let mut process =
            Process::spawn("outrigger dev", &mut command, self.folders.path("host.log"))?;
        // It is there once all checks of /readyz are well.
        while !kubeconfig.is_file() {
            process.check_running()?;
            ensure!(began.elapsed() < READY_DEADLINE, "{}", process.log());
            tokio::time::sleep(POLL).await;
        }
        let ready = began.elapsed();
        self.running = Some(Running { process, port });
        let answer = self.client()?.get("/readyz").await?;
        ensure!(answer.status == 200, "{}", answer.text());
        Ok(ready)
    }

    pub(crate) async fn stop(&mut self) -> Result<()> {
        if let Some(mut running) = self.running.take() {
            let status = running.process.stop(STOP_DEADLINE).await?;
            ensure!(status.success(), "outrigger ended with {status}");
        }
        Ok(())
    }

    fn kubeconfig(&self) -> PathBuf {
        self.folders.data().join("admin.kubeconfig")
    }

    fn client(&self) -> Result<Client> {
        Client::new(&Kubeconfig::read(&self.kubeconfig())?)
    }

    pub(crate) fn server(&self) -> Result<Server> {
        let running = self.running.as_ref().context("it is not started")?;
        let mut client = self.client()?;
        // The kubeconfig may name the port of 127.0.0.1 in another way.
        client = client.dialling(&format!("127.0.0.1:{}", running.port));
        Ok(Server {
            name: OUTRIGGER,
            client,
            pids: vec![running.process.pid()],
        })
    }

    /// Makes copies of a stored object, one for each number, in another namespace and with other names and uids. The
    /// server must be stopped. `collection` is the prefix of keys, e.g. `objects/wardle.example.com/flunders/`.
    pub(crate) async fn fill(
        &self,
        collection: &str,
        template: &str,
        namespace: &str,
        numbers: Range<usize>,
    ) -> Result<()> {
        ensure!(self.running.is_none(), "the server holds the store");
        let folder = self.folders.data().join("store");
        let storage = SqliteStorage::open(&folder, Options::default())?;
        let key = format!("{collection}{template}");
        let item = storage.get(&key).await?;
        let item = item.with_context(|| format!("there is no {key}"))?;
        let copies = Copies::of(&item.record.bytes, namespace)?;
        let deadline = tokio::time::Instant::now() + READY_DEADLINE;
        let context = RequestContext::background("bench", deadline);
        for begin in numbers.clone().step_by(BATCH) {
            let end = numbers.end.min(begin + BATCH);
            let writes = (begin..end).map(|number| Write {
                key: Arc::from(format!("{collection}{namespace}/{}", name(number))),
                expected: Expected::Absent,
                record: Some(copies.record(number)),
            });
            storage.commit(&context, writes.collect()).await?;
        }
        storage.close().await;
        Ok(())
    }
}

/// Of a copy; all are of one length.
pub(crate) fn name(number: usize) -> String {
    format!("{NAME}{number:07}")
}

const NAME: &str = "listed-";

/// One encoded object, in which digits are put.
struct Copies {
    bytes: Vec<u8>,
    version_at: u32,
    /// Where the digits of the name stand, and those of the uid's end.
    digits: Vec<usize>,
}

impl Copies {
    fn of(json: &[u8], namespace: &str) -> Result<Self> {
        let mut object = Object::from_slice(json).context("the template is no object")?;
        object.set_meta("name", &name(0));
        object.set_meta("namespace", namespace);
        let uid = object.uid().to_owned();
        let kept = uid.len().saturating_sub(7);
        object.set_meta("uid", &format!("{}0000000", &uid[..kept]));
        let encoded = object.encode();
        let text = std::str::from_utf8(&encoded.bytes)?;
        let mut digits = Vec::new();
        for before in [format!("\"{NAME}"), uid[..kept].to_owned()] {
            let at = text.find(&before).context("the template has it")?;
            digits.push(at + before.len());
        }
        Ok(Self {
            bytes: encoded.bytes.to_vec(),
            version_at: encoded.version_at,
            digits,
        })
    }

    fn record(&self, number: usize) -> Record {
        let mut bytes = self.bytes.clone();
        let digits = format!("{number:07}");
        for &at in &self.digits {
            bytes[at..at + digits.len()].copy_from_slice(digits.as_bytes());
        }
        Record {
            bytes: bytes.into(),
            version_at: self.version_at,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_differ_in_name_and_uid() {
        let template = br#"{"apiVersion":"g/v1","kind":"K","metadata":{"name":"t","namespace":"default","uid":"7a1f1c7e-3c1b-4b0e-9a53-1f4cb7a7a001"},"spec":{}}"#;
        let copies = Copies::of(template, "list").expect("it is an object");
        let text = |number| String::from_utf8(copies.record(number).bytes.to_vec()).expect("JSON");
        let object: serde_json::Value = serde_json::from_str(&text(12)).expect("JSON");
        assert_eq!(object["metadata"]["name"], "listed-0000012");
        assert_eq!(object["metadata"]["namespace"], "list");
        assert_eq!(
            object["metadata"]["uid"],
            "7a1f1c7e-3c1b-4b0e-9a53-1f4cb0000012"
        );
        assert_eq!(text(1).len(), text(9_999_999).len());
    }
}
