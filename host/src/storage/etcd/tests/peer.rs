//! A real etcd for tests, and a connection to it that tests cut.

use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::{MutexGuard, watch};
use tokio::task::JoinSet;

use super::super::Options;

/// The program; `None`, and told, where no folder with it is named. With `CI=true` that is a failure.
pub(super) fn program() -> Option<PathBuf> {
    if let Some(peers) = std::env::var_os("OUTRIGGER_PEERS") {
        return Some(Path::new(&peers).join("etcd"));
    }
    assert!(
        !std::env::var("CI").is_ok_and(|it| it == "true"),
        "OUTRIGGER_PEERS names no folder with etcd"
    );
    eprintln!(
        "not run: OUTRIGGER_PEERS names no folder with etcd; `cargo xtask test --only unit` sets it"
    );
    None
}

/// Ends, with its data, when dropped.
pub(super) struct Etcd {
    program: PathBuf,
    flags: Vec<String>,
    child: Mutex<Child>,
    folder: TempDir,
    port: u16,
}

impl Etcd {
    pub(super) fn start(flags: &[&str]) -> Option<Self> {
        let program = program()?;
        let folder = tempfile::tempdir().unwrap();
        let port = free_port();
        Some(Self::start_in(program, folder, port, "http", flags))
    }

    /// With TLS by the certificates in `folder`.
    pub(super) fn start_secure(folder: TempDir, flags: &[&str]) -> Option<Self> {
        let program = program()?;
        Some(Self::start_in(program, folder, free_port(), "https", flags))
    }

    /// Three members of one cluster.
    pub(super) fn start_members() -> Option<[Self; 3]> {
        let program = program()?;
        let peers = ["m0", "m1", "m2"].map(|it| (it, format!("http://127.0.0.1:{}", free_port())));
        let cluster = peers.each_ref().map(|(name, url)| format!("{name}={url}"));
        let cluster = format!("--initial-cluster={}", cluster.join(","));
        let members = peers.map(|(name, url)| {
            // What is said twice counts as it is said last.
            let flags = [
                &format!("--name={name}"),
                &format!("--listen-peer-urls={url}"),
                &format!("--initial-advertise-peer-urls={url}"),
                &cluster,
            ];
            let folder = tempfile::tempdir().unwrap();
            let flags = flags.map(String::as_str);
            Self::start_in(program.clone(), folder, free_port(), "http", &flags)
        });
        Some(members)
    }

    fn start_in(
        program: PathBuf,
        folder: TempDir,
        port: u16,
        scheme: &str,
        flags: &[&str],
    ) -> Self {
        let client = format!("{scheme}://127.0.0.1:{port}");
        let peer = format!("http://127.0.0.1:{}", free_port());
        let mut all = vec![
            format!("--data-dir={}", folder.path().join("data").display()),
            format!("--listen-client-urls={client}"),
            format!("--advertise-client-urls={client}"),
            format!("--listen-peer-urls={peer}"),
            format!("--initial-advertise-peer-urls={peer}"),
            format!("--initial-cluster=default={peer}"),
            // The data live as long as the test.
            "--unsafe-no-fsync".to_owned(),
        ];
        all.extend(flags.iter().map(|it| (*it).to_owned()));
        let child = spawn(&program, &all, folder.path());
        Self {
            program,
            flags: all,
            child: Mutex::new(child),
            folder,
            port,
        }
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    pub(super) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub(super) fn options(&self) -> Options {
        options(self.url())
    }

    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// As a crash ends it.
    pub(super) fn kill(&self) {
        let mut child = self.child.lock().unwrap_or_else(PoisonError::into_inner);
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// On its port and its data.
    pub(super) fn resume(&self) {
        let child = spawn(&self.program, &self.flags, self.folder.path());
        *self.child.lock().unwrap() = child;
    }

    /// What is on its disk, which is [put back](Self::put_back) later.
    pub(super) fn snapshot(&self) -> TempDir {
        let snapshot = tempfile::tempdir().unwrap();
        self.kill();
        copy_all(&self.data(), snapshot.path());
        self.resume();
        snapshot
    }

    /// As one restores a snapshot, with the revisions of then.
    pub(super) fn put_back(&self, snapshot: &TempDir) {
        self.kill();
        std::fs::remove_dir_all(self.data()).unwrap();
        copy_all(snapshot.path(), &self.data());
        self.resume();
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }
}

impl Drop for Etcd {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            let log = std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
            let lines: Vec<_> = log.lines().rev().take(10).collect();
            eprintln!("--- etcd, last line first:\n{}", lines.join("\n"));
        }
    }
}

fn copy_all(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy_all(&entry.path(), &to),
            false => drop(std::fs::copy(entry.path(), to).unwrap()),
        }
    }
}

fn spawn(program: &Path, flags: &[String], folder: &Path) -> Child {
    let log = std::fs::File::options()
        .create(true)
        .append(true)
        .open(folder.join("log"))
        .unwrap();
    Command::new(program)
        .args(flags)
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap()
}

pub(super) fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.local_addr().unwrap().port()
}

pub(super) fn options(server: String) -> Options {
    Options {
        servers: vec![server],
        prefix: "/outrigger".into(),
        ca_file: None,
        identity: None,
        credentials: None,
        compaction_interval: None,
        connect_wait: Duration::from_secs(60),
    }
}

/// The etcd that tests use one after another, each with a prefix of its own: starting one takes longer than most of
/// them. Cases count revisions, so that nobody else may write meanwhile.
pub(super) struct Turn {
    pub(super) etcd: Arc<Etcd>,
    _turn: MutexGuard<'static, ()>,
}

pub(super) async fn turn() -> Option<Turn> {
    static TURNS: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
    // It ends with the last test that holds it.
    static ETCD: Mutex<Weak<Etcd>> = Mutex::new(Weak::new());
    let etcd = {
        let mut known = ETCD.lock().unwrap_or_else(PoisonError::into_inner);
        match known.upgrade() {
            Some(etcd) => etcd,
            None => {
                let etcd = Arc::new(Etcd::start(&[])?);
                *known = Arc::downgrade(&etcd);
                etcd
            }
        }
    };
    let turn = TURNS.lock().await;
    Some(Turn { etcd, _turn: turn })
}

/// What connections through a [`Line`] do.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Wire {
    /// A connection ends with the next one.
    cuts: usize,
    /// Nobody gets connected.
    is_down: bool,
    /// What etcd says does not come through.
    is_muted: bool,
}

/// A way to etcd that can be cut.
pub(super) struct Line {
    port: u16,
    wire: watch::Sender<Wire>,
    _tasks: JoinSet<()>,
}

impl Line {
    pub(super) async fn to(etcd: &Etcd) -> Self {
        let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .unwrap();
        let port = listener.local_addr().unwrap().port();
        let to = etcd.port();
        let wire = watch::Sender::new(Wire::default());
        let mut tasks = JoinSet::new();
        let seen = wire.subscribe();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (client, _) = listener.accept().await.unwrap();
                if seen.borrow().is_down {
                    continue;
                }
                connections.spawn(carry(client, to, seen.clone()));
            }
        });
        Self {
            port,
            wire,
            _tasks: tasks,
        }
    }

    pub(super) fn options(&self) -> Options {
        options(format!("http://127.0.0.1:{}", self.port))
    }

    pub(super) fn cut(&self) {
        self.wire.send_modify(|it| {
            it.cuts += 1;
            it.is_down = true;
        });
    }

    pub(super) fn mute(&self) {
        self.wire.send_modify(|it| it.is_muted = true);
    }

    /// For connections from now on: those that were muted have lost something.
    pub(super) fn mend(&self) {
        self.wire.send_modify(|it| {
            it.cuts += 1;
            it.is_down = false;
            it.is_muted = false;
        });
    }
}

async fn carry(client: TcpStream, to: u16, seen: watch::Receiver<Wire>) {
    let cuts = seen.borrow().cuts;
    let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, to)).await else {
        return;
    };
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let asking = tokio::io::copy(&mut from_client, &mut to_server);
    let answering = async {
        let mut buffer = vec![0; 64 << 10];
        loop {
            match from_server.read(&mut buffer).await {
                Ok(0) | Err(_) => return,
                Ok(_) if seen.borrow().is_muted || seen.borrow().cuts != cuts => {}
                Ok(count) => {
                    if to_client.write_all(&buffer[..count]).await.is_err() {
                        return;
                    }
                }
            }
        }
    };
    let mut cut = seen.clone();
    tokio::select! {
        _ = asking => {}
        () = answering => {}
        _ = cut.wait_for(|it| it.cuts != cuts) => {}
    }
}
