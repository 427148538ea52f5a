//! `cargo xtask test`: every check and test, in stages, one build profile for all.

mod outcome;

use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use anyhow::Result;
use clap::ValueEnum;

use self::outcome::{Count, cargo_test, check, prints_nothing, skipped};
use crate::peers::Peers;
use crate::{etcds, fuzz, guests, kubectls, peers, programs, tools, workspace};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Leave these stages out.
    #[arg(long, value_name = "STAGE", value_delimiter = ',')]
    skip: Vec<Stage>,
    /// Run these stages only.
    #[arg(long, value_name = "STAGE", value_delimiter = ',')]
    only: Vec<Stage>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Stage {
    /// rustfmt, of the workspace and of every plugin
    Fmt,
    /// clippy without warnings, of the workspace and of every plugin
    Clippy,
    /// rustdoc without warnings, private items included
    Doc,
    /// cargo-deny: licences, banned crates, sources
    Deny,
    /// builds every plugin as its author does and runs the plugins' own tests
    Guests,
    /// the tests beside the code
    Unit,
    /// every fuzz target for a moment
    Fuzz,
    /// the embedded store over kills, faults of its disk and power losses
    Store,
    /// tests through the socket of `outrigger dev`, with real plugins
    Integration,
    /// structured-merge-diff and Go's library on the same random cases
    Differential,
    /// recorded answers of real servers, asked of `outrigger dev` and behind a real kube-apiserver
    Oracle,
    /// tests behind a real kube-apiserver, and kubectl's transcript beside a CustomResourceDefinition's
    E2e,
    /// the same transcript with other releases of kubectl; only when named with `--only`
    Kubectls,
    /// the store in etcd with other releases of etcd; only when named with `--only`
    Etcds,
    /// client-go, controller-runtime, kube-rs and the Python client behind a real kube-apiserver
    Clients,
    /// `cargo xtask demo --once`, with and without kubectl
    Demo,
}

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let mut rows = Vec::new();
    for &stage in Stage::value_variants() {
        let is_wanted = match args.only.is_empty() {
            true => !matches!(stage, Stage::Kubectls | Stage::Etcds),
            false => args.only.contains(&stage),
        };
        if args.skip.contains(&stage) || !is_wanted {
            continue;
        }
        let started = Instant::now();
        let count = run_stage(stage).unwrap_or_else(|err| {
            println!("{}: {err:#}", title(stage));
            Count {
                failed: 1,
                ..Count::default()
            }
        });
        rows.push((stage, count, started.elapsed()));
    }
    let total = print_table(&rows);
    let is_good = total.failed == 0 && (total.skipped == 0 || !workspace::is_ci());
    Ok(match is_good {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

fn print_table(rows: &[(Stage, Count, Duration)]) -> Count {
    let mut total = Count::default();
    println!("\nstage        passed  failed  skipped  seconds");
    for (stage, count, duration) in rows {
        total.add(*count);
        println!(
            "{:<12} {:>6}  {:>6}  {:>7}  {:>7.1}",
            title(*stage),
            count.passed,
            count.failed,
            count.skipped,
            duration.as_secs_f64()
        );
    }
    println!(
        "{} passed, {} failed, {} skipped",
        total.passed, total.failed, total.skipped
    );
    total
}

fn title(stage: Stage) -> String {
    stage
        .to_possible_value()
        .map_or_else(String::new, |it| it.get_name().to_owned())
}

fn run_stage(stage: Stage) -> Result<Count> {
    match stage {
        Stage::Fmt => fmt(),
        Stage::Clippy => clippy(),
        Stage::Doc => check("doc", &mut doc()),
        Stage::Deny => deny(),
        Stage::Guests => plugins(),
        Stage::Unit => unit(),
        Stage::Fuzz => fuzz(),
        Stage::Store => store(),
        Stage::Integration => integration(),
        Stage::Differential => differential(),
        Stage::Oracle => oracle(),
        Stage::E2e => e2e(),
        Stage::Kubectls => kubectls(),
        Stage::Etcds => etcds(),
        Stage::Clients => clients(),
        Stage::Demo => demo(),
    }
}

fn fmt() -> Result<Count> {
    let mut command = workspace::cargo();
    let mut count = check("fmt", command.args(["fmt", "--all", "--check"]))?;
    for folder in guests::all()? {
        let title = format!("fmt {}", guests::name(&folder));
        let mut command = guests::cargo(&folder, &["fmt", "--all", "--check"]);
        count.add(check(&title, &mut command)?);
    }
    if let Some(go) = workspace::on_path("go") {
        count.add(prints_nothing("gofmt", &mut programs::gofmt(&go))?);
    }
    Ok(count)
}

fn clippy() -> Result<Count> {
    const STRICT: [&str; 6] = [
        "clippy",
        "--workspace",
        "--all-targets",
        "--",
        "-D",
        "warnings",
    ];
    let mut count = check("clippy", workspace::cargo().args(STRICT))?;
    for folder in guests::all()? {
        let title = format!("clippy {}", guests::name(&folder));
        count.add(check(&title, &mut guests::cargo(&folder, &STRICT))?);
    }
    Ok(count)
}

fn doc() -> Command {
    let mut command = workspace::cargo();
    command
        .args([
            "doc",
            "--no-deps",
            "--document-private-items",
            "--workspace",
        ])
        .env("RUSTDOCFLAGS", "-D warnings");
    command
}

fn deny() -> Result<Count> {
    let mut command = Command::new(tools::cargo_deny()?);
    command
        .current_dir(workspace::root())
        .args(["check", "bans", "licenses", "sources"]);
    check("deny", &mut command)
}

fn plugins() -> Result<Count> {
    let mut count = Count::default();
    for folder in guests::all()? {
        let name = guests::name(&folder);
        count.add(check(
            &format!("build {name}"),
            &mut guests::build(&folder),
        )?);
        let mut tests = guests::cargo(&folder, &["test", "--workspace"]);
        count.add(cargo_test(&format!("test {name}"), &mut tests)?);
    }
    Ok(count)
}

fn unit() -> Result<Count> {
    let mut command = workspace::cargo();
    command.args(["test", "--workspace", "--lib", "--bins", "--no-fail-fast"]);
    let mut count = Count::default();
    match peers::find_or_build()? {
        Peers::Found(folder) => {
            command.env("OUTRIGGER_PEERS", folder);
        }
        Peers::Missing(why) => count.add(skipped("unit (the store in etcd)", &why)),
    }
    count.add(cargo_test("unit", &mut command)?);
    let mut command = workspace::cargo();
    command.args(["test", "--workspace", "--doc"]);
    count.add(cargo_test(
        "unit (examples in the documentation)",
        &mut command,
    )?);
    Ok(count)
}

fn fuzz() -> Result<Count> {
    let (passed, failed) = fuzz::gate()?;
    Ok(Count {
        passed,
        failed,
        ..Count::default()
    })
}

fn store() -> Result<Count> {
    let mut command = workspace::cargo();
    cargo_test(
        "store",
        command.args(["test", "--workspace", "--test", "store"]),
    )
}

fn integration() -> Result<Count> {
    let mut count = check("building the host", &mut workspace::build_binaries())?;
    let mut command = workspace::cargo();
    command.args(["test", "--workspace", "--test", "integration"]);
    count.add(cargo_test("integration", &mut command)?);
    Ok(count)
}

fn differential() -> Result<Count> {
    let Some(go) = workspace::on_path("go") else {
        let why = "there is no Go to build tests/smd-diff with; install Go 1.26";
        return Ok(skipped("differential", &why));
    };
    let program = programs::build(&go, programs::SMD_DIFF)?;
    let mut command = workspace::cargo();
    command
        .args(["test", "--workspace", "--test", "differential"])
        .env("OUTRIGGER_SMD_DIFF", program);
    cargo_test("differential", &mut command)
}

fn e2e() -> Result<Count> {
    let folder = match peers::find_or_build()? {
        Peers::Found(folder) => folder,
        Peers::Missing(why) => return Ok(skipped("e2e", &why)),
    };
    println!("e2e: the peers are in {}", folder.display());
    let controller_manager = peers::controller_manager()?;
    let mut count = check("building the host", &mut workspace::build_binaries())?;
    let mut command = workspace::cargo();
    command
        .args(["test", "--workspace", "--test", "e2e"])
        .env("OUTRIGGER_PEERS", &folder);
    // It says itself how many tests were not run for the lack of it.
    if let Some(program) = controller_manager {
        command.env("OUTRIGGER_CONTROLLER_MANAGER", program);
    }
    count.add(cargo_test("e2e", &mut command)?);
    count.add(transcript("e2e (transcript)", &folder, None, &[])?);
    Ok(count)
}

fn kubectls() -> Result<Count> {
    let folder = match peers::find_or_build()? {
        Peers::Found(folder) => folder,
        Peers::Missing(why) => return Ok(skipped("kubectls", &why)),
    };
    let mut count = check("building the host", &mut workspace::build_binaries())?;
    let (others, missing) = kubectls::all()?;
    for other in others {
        let kubectl = other.kubectl.as_deref();
        count.add(transcript(other.title, &folder, kubectl, other.scenarios)?);
    }
    for why in missing {
        count.add(skipped("kubectls", &why));
    }
    Ok(count)
}

/// What the stage of unit tests asks of the peers' etcd.
fn etcds() -> Result<Count> {
    let mut count = Count::default();
    for release in etcds::RELEASES {
        let Some(folder) = etcds::folder(release)? else {
            let title = format!("etcd {release}");
            count.add(skipped(
                &title,
                &"there is no Go to build it with; install Go 1.26",
            ));
            continue;
        };
        let mut command = workspace::cargo();
        command
            .args([
                "test",
                "--workspace",
                "--lib",
                "--no-fail-fast",
                "storage::etcd",
            ])
            .env("OUTRIGGER_PEERS", folder);
        count.add(cargo_test(&format!("etcd {release}"), &mut command)?);
    }
    Ok(count)
}

/// kubectl's commands of `tests/transcript`.
fn transcript(
    title: &str,
    peers: &Path,
    kubectl: Option<&Path>,
    scenarios: &[&str],
) -> Result<Count> {
    let mut command = workspace::cargo();
    command
        .args(["test", "--workspace", "--test", "transcript", "--"])
        .args(scenarios)
        .env("OUTRIGGER_PEERS", peers);
    if let Some(kubectl) = kubectl {
        command.env("OUTRIGGER_KUBECTL", kubectl);
    }
    cargo_test(title, &mut command)
}

fn clients() -> Result<Count> {
    let folder = match peers::find_or_build()? {
        Peers::Found(folder) => folder,
        Peers::Missing(why) => return Ok(skipped("clients", &why)),
    };
    let programs = ["go", "python3"].map(workspace::on_path);
    let [Some(go), Some(python)] = programs else {
        let why =
            "Go 1.26 and python3 with its module venv must be on PATH; install what is missing";
        return Ok(skipped("clients", &why));
    };
    let mut count = check("vet", &mut programs::vet(&go, programs::CLIENTS))?;
    let program = programs::build(&go, programs::CLIENTS)?;
    let python = programs::python(&python)?;
    count.add(check(
        "building the host",
        &mut workspace::build_binaries(),
    )?);
    let mut command = workspace::cargo();
    command
        .args(["test", "--workspace", "--test", "clients"])
        .env("OUTRIGGER_PEERS", folder)
        .env("OUTRIGGER_CLIENTS", program)
        .env("OUTRIGGER_PYTHON", python);
    count.add(cargo_test("clients", &mut command)?);
    Ok(count)
}

fn oracle() -> Result<Count> {
    let mut count = check("building the host", &mut workspace::build_binaries())?;
    let mut command = workspace::cargo();
    command.args(["test", "--workspace", "--test", "oracle"]);
    match peers::find_or_build()? {
        Peers::Found(folder) => {
            command.env("OUTRIGGER_PEERS", folder);
        }
        // It says itself how many answers were not asked for.
        Peers::Missing(why) => println!("oracle behind kube-apiserver ... SKIPPED: {why}"),
    }
    count.add(cargo_test("oracle", &mut command)?);
    Ok(count)
}

fn demo() -> Result<Count> {
    // As a person starts it: this program itself may have been built anew since it was started.
    let run = |title: &str, flags: &[&str]| {
        let mut command = crate::workspace::cargo();
        check(title, command.args(["xtask", "demo", "--once"]).args(flags))
    };
    let mut count = run("demo without kubectl", &["--without-kubectl"])?;
    count.add(match peers::kubectl()? {
        Some(_) => run("demo", &[])?,
        None => skipped(
            "demo",
            &"no kubectl in the peers' folder or on PATH; `cargo xtask peers` gets it",
        ),
    });
    Ok(count)
}
