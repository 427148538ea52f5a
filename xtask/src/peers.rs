//! The real peers of the end-to-end tests: etcd, kube-apiserver, kubectl and kube-controller-manager.
//!
//! Looked for in `KUBEBUILDER_ASSETS`, then in the cache, then built with Go from the versions that
//! `tests/peers/go.mod` and `go.sum` pin. A build takes about ten minutes on two cores with a cold cache.
//! setup-envtest brings no kube-controller-manager, so that is looked for, and built, on its own.
//!
//! The kubectl of the oldest supported release is pinned by the module in `tests/peers/kubectl-1.34`, etcd of other
//! releases by `tests/peers/etcd-*`, and sample-apiserver, with which the benchmark compares, by
//! `tests/peers/sample-apiserver`.

use std::fmt;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result, bail};

use crate::progress::Step;
use crate::workspace;

const ETCD: (&str, &str) = ("etcd", "go.etcd.io/etcd/server/v3");
const KUBECTL: (&str, &str) = ("kubectl", "k8s.io/kubernetes/cmd/kubectl");
/// The Go module that pins the peers.
const PEERS: &str = "tests/peers";
/// Programs and the Go packages that they are built from.
const PROGRAMS: [(&str, &str); 3] = [
    ETCD,
    KUBECTL,
    ("kube-apiserver", "k8s.io/kubernetes/cmd/kube-apiserver"),
];

const CONTROLLER_MANAGER: (&str, &str) = (
    "kube-controller-manager",
    "k8s.io/kubernetes/cmd/kube-controller-manager",
);

const SAMPLE_APISERVER: (&str, &str) = ("sample-apiserver", "k8s.io/sample-apiserver");

/// Where the peers are, or why there are none.
pub(crate) enum Peers {
    Found(PathBuf),
    Missing(Missing),
}

/// The peers are not there and cannot be built here.
pub(crate) struct Missing {
    cached: PathBuf,
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "no etcd, kube-apiserver and kubectl: KUBEBUILDER_ASSETS names no folder with them, {} is not \
             there, and there is no Go to build them with. To get them, install Go 1.26 and run \
             `cargo xtask peers`, or set KUBEBUILDER_ASSETS to a folder made by setup-envtest",
            self.cached.display()
        )
    }
}

/// `cargo xtask peers`.
pub(crate) fn run() -> Result<ExitCode> {
    match find_or_build()? {
        Peers::Found(folder) => {
            if let Some(program) = controller_manager()?
                && program.parent() != Some(&folder)
            {
                eprintln!("kube-controller-manager: {}", program.display());
            }
            println!("{}", folder.display());
            Ok(ExitCode::SUCCESS)
        }
        Peers::Missing(why) => bail!("{why}"),
    }
}

pub(crate) fn find_or_build() -> Result<Peers> {
    if let Some(folder) = find()? {
        return Ok(Peers::Found(folder));
    }
    let pinned = Pinned::read(PEERS)?;
    let cached = pinned.cached()?;
    let Some(go) = workspace::on_path("go") else {
        return Ok(Peers::Missing(Missing { cached }));
    };
    for program in PROGRAMS {
        pinned.build(&go, &cached, program)?;
    }
    Ok(Peers::Found(cached))
}

/// Found or built; `None` where there is no Go to build it with.
pub(crate) fn controller_manager() -> Result<Option<PathBuf>> {
    let (program, _) = CONTROLLER_MANAGER;
    let assets = std::env::var_os("KUBEBUILDER_ASSETS").map(|it| PathBuf::from(it).join(program));
    if let Some(found) = assets.filter(|it| it.is_file()) {
        return Ok(Some(found));
    }
    Pinned::read(PEERS)?.cached_or_built(CONTROLLER_MANAGER)
}

/// kubectl of the oldest release that is supported, or `None` where there is no Go to build it with.
pub(crate) fn oldest_kubectl() -> Result<Option<PathBuf>> {
    Pinned::read("tests/peers/kubectl-1.34")?.cached_or_built(KUBECTL)
}

/// etcd that a module of its own pins, or `None` where there is no Go to build it with.
pub(crate) fn etcd(module: &str) -> Result<Option<PathBuf>> {
    Pinned::read(module)?.cached_or_built(ETCD)
}

/// sample-apiserver, or `None` where there is no Go to build it with.
pub(crate) fn sample_apiserver() -> Result<Option<PathBuf>> {
    Pinned::read("tests/peers/sample-apiserver")?.cached_or_built(SAMPLE_APISERVER)
}

/// The peers that are there already.
pub(crate) fn find() -> Result<Option<PathBuf>> {
    let assets = std::env::var_os("KUBEBUILDER_ASSETS").map(PathBuf::from);
    if let Some(folder) = assets.filter(|it| has_all(it)) {
        return Ok(Some(folder));
    }
    let cached = Pinned::read(PEERS)?.cached()?;
    Ok(has_all(&cached).then_some(cached))
}

/// kubectl from the peers, or from `PATH`.
pub(crate) fn kubectl() -> Result<Option<PathBuf>> {
    let from_peers = find()?.map(|it| it.join("kubectl"));
    Ok(from_peers.or_else(|| workspace::on_path("kubectl")))
}

fn has_all(folder: &Path) -> bool {
    PROGRAMS
        .iter()
        .all(|(program, _)| folder.join(program).is_file())
}

/// What a Go module pins.
struct Pinned {
    module: PathBuf,
    /// Of the folder's name in the cache.
    folder_prefix: &'static str,
    /// Of Kubernetes, e.g. `v1.37.2`, or of etcd in a module that has no Kubernetes.
    version: String,
    /// Changes with any of the pinned modules and with the way they are built.
    fingerprint: u64,
}

impl Pinned {
    fn read(module: &str) -> Result<Self> {
        let module = workspace::root().join(module);
        let go_mod = std::fs::read_to_string(module.join("go.mod"))?;
        let go_sum = std::fs::read_to_string(module.join("go.sum"))?;
        let required = |module: &str| {
            go_mod
                .lines()
                .map(|line| line.trim().trim_start_matches("require "))
                .find_map(|line| line.strip_prefix(module)?.strip_prefix(' '))
                .and_then(|it| it.split_whitespace().next())
        };
        let kubernetes = required("k8s.io/kubernetes").map(str::to_owned);
        // v0.37 of one of its modules is v1.37 of Kubernetes.
        let sample = required(SAMPLE_APISERVER.1).map(|it| it.replacen("v0.", "v1.", 1));
        let etcd = required(ETCD.1).map(str::to_owned);
        let found = [
            ("", kubernetes),
            ("sample-apiserver-", sample),
            ("etcd-", etcd),
        ];
        let mut found = found.into_iter();
        let (folder_prefix, version) = found
            .find_map(|(prefix, version)| Some((prefix, version?)))
            .with_context(|| format!("{}: no k8s.io/kubernetes", module.display()))?;
        let mut hasher = DefaultHasher::new();
        (&go_mod, &go_sum, ldflags(&version)?).hash(&mut hasher);
        Ok(Self {
            module,
            folder_prefix,
            version,
            fingerprint: hasher.finish(),
        })
    }

    fn cached(&self) -> Result<PathBuf> {
        let Self {
            folder_prefix,
            version,
            fingerprint,
            ..
        } = self;
        let folder = format!("peers/{folder_prefix}{version}-{fingerprint:016x}");
        Ok(workspace::cache_dir()?.join(folder))
    }

    /// A program, built if it is not there; `None` where there is no Go to build it with.
    fn cached_or_built(&self, program: (&str, &str)) -> Result<Option<PathBuf>> {
        let cached = self.cached()?;
        let path = cached.join(program.0);
        if !path.is_file() {
            let Some(go) = workspace::on_path("go") else {
                return Ok(None);
            };
            self.build(&go, &cached, program)?;
        }
        Ok(Some(path))
    }

    /// Builds a program that is not in `cached` yet, beside it, and renames it at the end: a program is whole or
    /// not there.
    fn build(&self, go: &Path, cached: &Path, (program, package): (&str, &str)) -> Result<()> {
        let finished = cached.join(program);
        if finished.is_file() {
            return Ok(());
        }
        std::fs::create_dir_all(cached)
            .with_context(|| format!("cannot make {}", cached.display()))?;
        let unfinished = cached.join(format!("{program}.building-{}", std::process::id()));
        let mut step = Step::start(&format!("building {program} ({package})"));
        let mut build = Command::new(go);
        build
            .current_dir(&self.module)
            .env("CGO_ENABLED", "0")
            .args(["build", "-v", "-trimpath", "-ldflags"])
            .arg(ldflags(&self.version)?)
            .arg("-o")
            .arg(&unfinished)
            .arg(package);
        let built = step.run(&mut build)?;
        if !built.status.success() {
            step.finish("failed");
            let _ = std::fs::remove_file(&unfinished);
            bail!("{program} could not be built:\n{}", built.lines.join("\n"));
        }
        step.finish("built");
        Ok(std::fs::rename(&unfinished, &finished)?)
    }
}

/// Without these, kubectl and kube-apiserver call themselves v0.0.0 and refuse or warn about each other.
fn ldflags(version: &str) -> Result<String> {
    let mut numbers = version.trim_start_matches('v').split('.');
    let major = numbers.next().context("a version has a major number")?;
    let minor = numbers.next().context("a version has a minor number")?;
    let package = "k8s.io/component-base/version";
    Ok(format!(
        "-s -w -X {package}.gitVersion={version} -X {package}.gitMajor={major} \
         -X {package}.gitMinor={minor} -X {package}.gitTreeState=clean"
    ))
}
