//! The demonstration: `cargo xtask demo` builds what it needs and starts it.
//!
//! It starts `outrigger dev` with one plugin and walks through the main job, with kubectl or with requests of
//! its own. Then a second plugin is built and dropped in. Each step says what it does and shows what came back.

#![expect(clippy::print_stdout, reason = "a demonstration is what it prints")]

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use bytes::Bytes;
use clap::Parser as _;
use http::Method;
use outrigger_tests::artifacts;
use outrigger_tests::client::{Client, shown};
use outrigger_tests::host::{Dev, DevFolders};
use outrigger_tests::kubectl::Kubectl;

#[derive(clap::Parser)]
struct Args {
    /// End after the walk-through.
    #[arg(long)]
    once: bool,
    /// The kubectl to use; without it the requests are made by this program.
    #[arg(long)]
    kubectl: Option<PathBuf>,
    /// Keep the server's data here.
    #[arg(long)]
    data_dir: Option<PathBuf>,
}

/// What the steps are made with.
enum Tool {
    Kubectl(Kubectl),
    Requests(Client),
}

struct Walk {
    tool: Tool,
    failures: usize,
}

/// One thing that is done, in both ways.
struct Step<'a> {
    title: &'a str,
    kubectl: &'a [&'a str],
    /// Standard input of kubectl, and the request's body.
    object: &'a str,
    request: (Method, &'a str),
    /// What kubectl must say, on either output.
    said: &'a str,
    /// What the answer must hold, after its status.
    answered: (u16, &'a str),
}

const FLUNDERS: &str = "/apis/wardle.example.com/v1beta1/namespaces/default/flunders";
const FLUNDER: &str = "/apis/wardle.example.com/v1beta1/namespaces/default/flunders/first";
const FISCHERS: &str = "/apis/wardle.example.com/v1alpha1/fischers";
const OPENAPI: &str = "/openapi/v3/apis/wardle.example.com/v1beta1";
const GREETINGS: &str = "/apis/hello.example.com/v1/namespaces/default/greetings";

const SAMPLE: &str = r#"{
  "apiVersion": "wardle.example.com/v1beta1",
  "kind": "Flunder",
  "metadata": {"name": "first"},
  "spec": {"referenceType": "Fischer", "fischerReference": "a-fischer"}
}"#;
const CHANGE: &str = r#"{"spec": {"fischerReference": "another-fischer"}}"#;
const BANNED: &str = r#"{
  "apiVersion": "wardle.example.com/v1beta1",
  "kind": "Flunder",
  "metadata": {"name": "unwanted"},
  "spec": {"referenceType": "Fischer", "fischerReference": "a-fischer"}
}"#;
const BAN: &str = r#"{
  "apiVersion": "wardle.example.com/v1alpha1",
  "kind": "Fischer",
  "metadata": {"name": "ban"},
  "disallowedFlunders": ["unwanted"]
}"#;
const GREETING: &str = r#"{
  "apiVersion": "hello.example.com/v1",
  "kind": "Greeting",
  "metadata": {"name": "morning"},
  "spec": {"to": "world"}
}"#;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run(&Args::parse()).await {
        Ok(0) => ExitCode::SUCCESS,
        Ok(failures) => {
            eprintln!("error: {failures} steps did not go as they should");
            ExitCode::FAILURE
        }
        Err(err) => {
            eprintln!("error: {err:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(args: &Args) -> Result<usize> {
    let folders = DevFolders::with_data(args.data_dir.clone())?;
    folders.drop_plugin(&artifacts::example("wardle")?, "wardle")?;
    println!("\n# Starting `outrigger dev` with one plugin: wardle.wasm");
    let dev = folders.start().await?;
    println!("It is ready on port {}.", dev.port);
    let tool = match &args.kubectl {
        Some(program) => Tool::Kubectl(Kubectl::new(
            program,
            &dev.kubeconfig(),
            &folders.path("home"),
        )),
        None => {
            println!("No kubectl: this program makes the same requests itself.");
            Tool::Requests(dev.client()?)
        }
    };
    let mut walk = Walk { tool, failures: 0 };
    walk.first_plugin().await?;
    walk.second_plugin(&folders, &dev).await?;
    println!("\nThe server's kubeconfig: {}", dev.kubeconfig().display());
    if args.once {
        dev.stop().await?;
        return Ok(walk.failures);
    }
    println!(
        "Try it:  kubectl --kubeconfig {} get flunders,greetings",
        dev.kubeconfig().display()
    );
    println!("Plugins: {}", folders.path("plugins").display());
    println!("Serving until Ctrl-C.");
    tokio::signal::ctrl_c().await?;
    dev.stop().await?;
    Ok(walk.failures)
}

impl Walk {
    async fn first_plugin(&mut self) -> Result<()> {
        self.step(Step {
            title: "Its resource is served, and empty",
            kubectl: &["get", "flunders"],
            object: "",
            request: (Method::GET, FLUNDERS),
            said: "No resources found in default namespace.",
            answered: (200, r#""items":[]"#),
        })
        .await;
        self.step(Step {
            title: "Create an object",
            kubectl: &["apply", "-f", "-"],
            object: SAMPLE,
            request: (Method::POST, FLUNDERS),
            said: "flunder.wardle.example.com/first created",
            answered: (201, r#""name":"first""#),
        })
        .await;
        self.step(Step {
            title: "Get it as a table",
            kubectl: &["get", "flunders"],
            object: "",
            request: (Method::GET, FLUNDERS),
            said: "first",
            answered: (200, r#""kind":"Table""#),
        })
        .await;
        self.step(Step {
            title: "Get it whole",
            kubectl: &["get", "flunder", "first", "-o", "yaml"],
            object: "",
            request: (Method::GET, FLUNDER),
            said: "fischerReference: a-fischer",
            answered: (200, r#""fischerReference":"a-fischer""#),
        })
        .await;
        self.step(Step {
            title: "Ask what its fields mean",
            kubectl: &["explain", "flunders.spec"],
            object: "",
            request: (Method::GET, OPENAPI),
            said: "fischerReference",
            answered: (200, "fischerReference"),
        })
        .await;
        self.change().await?;
        self.step(Step {
            title: "Let a Fischer ban a name",
            kubectl: &["apply", "-f", "-"],
            object: BAN,
            request: (Method::POST, FISCHERS),
            said: "fischer.wardle.example.com/ban created",
            answered: (201, r#""name":"ban""#),
        })
        .await;
        self.step(Step {
            title: "The plugin refuses the banned name, in its own words",
            kubectl: &["apply", "-f", "-"],
            object: BANNED,
            request: (Method::POST, FLUNDERS),
            said: "this name may not be used",
            answered: (403, "this name may not be used"),
        })
        .await;
        self.step(Step {
            title: "Delete the object",
            kubectl: &["delete", "flunder", "first"],
            object: "",
            request: (Method::DELETE, FLUNDER),
            said: "\"first\" deleted",
            answered: (200, ""),
        })
        .await;
        self.step(Step {
            title: "And what banned a name",
            kubectl: &["delete", "fischer", "ban"],
            object: "",
            request: (
                Method::DELETE,
                "/apis/wardle.example.com/v1alpha1/fischers/ban",
            ),
            said: "\"ban\" deleted",
            answered: (200, ""),
        })
        .await;
        Ok(())
    }

    /// A change, and a watch that sees it.
    async fn change(&mut self) -> Result<()> {
        let change = Step {
            title: "Change it, while a watch looks on",
            kubectl: &["patch", "flunder", "first", "--type=merge", "-p", CHANGE],
            object: CHANGE,
            request: (Method::PATCH, FLUNDER),
            said: "flunder.wardle.example.com/first patched",
            answered: (200, r#""fischerReference":"another-fischer""#),
        };
        let seen = match &self.tool {
            Tool::Kubectl(kubectl) => {
                let args = ["get", "flunders", "--watch", "--output-watch-events"];
                let mut watch = kubectl.watch(&args)?;
                watch.line_with("ADDED").await?;
                self.step(change).await;
                println!("$ {}", Kubectl::line(&args));
                watch.line_with("MODIFIED").await
            }
            Tool::Requests(client) => {
                let listed = client.get(FLUNDERS).await?.ok()?;
                let version = listed["metadata"]["resourceVersion"]
                    .as_str()
                    .context("a list has a resourceVersion")?;
                let path = format!("{FLUNDERS}?watch=true&resourceVersion={version}");
                let mut watch = client.watch(&path).await?;
                self.step(change).await;
                println!("GET {path}");
                match watch.next().await? {
                    Some(event) => Ok(shown(&event)),
                    None => Err(anyhow::anyhow!("the watch ended")),
                }
            }
        };
        match seen {
            Ok(line) if line.starts_with("MODIFIED") => println!("{line}"),
            Ok(line) => self.fail(&format!("the watch showed {line}")),
            Err(err) => self.fail(&format!("{err:#}")),
        }
        Ok(())
    }

    async fn second_plugin(&mut self, folders: &DevFolders, dev: &Dev) -> Result<()> {
        println!("\n# Building a second plugin, examples/hello, while the server runs");
        let hello = artifacts::example("hello")?;
        println!(
            "# Dropping it into the folder: cp hello.wasm {}",
            folders.path("plugins").display()
        );
        let dropped = std::time::Instant::now();
        folders.drop_plugin(&hello, "hello")?;
        dev.wait_served(GREETINGS).await?;
        println!(
            "It is served {:.1} s later, without a restart.",
            dropped.elapsed().as_secs_f64()
        );
        // kubectl believes what it discovered before for ten minutes; a new folder is a new look.
        if let Tool::Kubectl(kubectl) = &self.tool {
            self.tool = Tool::Kubectl(kubectl.with_cache("second-look"));
        }
        self.step(Step {
            title: "Its resource answers",
            kubectl: &["get", "greetings"],
            object: "",
            request: (Method::GET, GREETINGS),
            said: "No resources found in default namespace.",
            answered: (200, r#""items":[]"#),
        })
        .await;
        self.step(Step {
            title: "And takes objects",
            kubectl: &["apply", "-f", "-"],
            object: GREETING,
            request: (Method::POST, GREETINGS),
            said: "greeting.hello.example.com/morning created",
            answered: (201, r#""name":"morning""#),
        })
        .await;
        Ok(())
    }

    async fn step(&mut self, step: Step<'_>) {
        println!("\n# {}", step.title);
        let outcome = match &self.tool {
            Tool::Kubectl(kubectl) => with_kubectl(kubectl, &step).await,
            Tool::Requests(client) => with_requests(client, &step).await,
        };
        if let Err(err) = outcome {
            self.fail(&format!("{err:#}"));
        }
    }

    fn fail(&mut self, why: &str) {
        self.failures += 1;
        println!("FAILED: {why}");
    }
}

async fn with_kubectl(kubectl: &Kubectl, step: &Step<'_>) -> Result<()> {
    println!("$ {}", Kubectl::line(step.kubectl));
    let said = kubectl.run(step.kubectl, step.object).await?;
    print!("{}{}", said.stdout, said.stderr);
    let all = said.stdout + &said.stderr;
    let is_expected = all.contains(step.said);
    // A refusal must be one, and nothing else may be.
    let is_refusal = step.answered.0 >= 400;
    anyhow::ensure!(
        is_expected && said.is_success != is_refusal,
        "expected `{}`",
        step.said
    );
    Ok(())
}

async fn with_requests(client: &Client, step: &Step<'_>) -> Result<()> {
    let (method, path) = &step.request;
    println!("{method} {path}");
    let accept = if step.answered.1.contains("Table") {
        "application/json;as=Table;v=v1;g=meta.k8s.io"
    } else {
        "application/json"
    };
    let content_type = match *method == Method::PATCH {
        true => "application/merge-patch+json",
        false => "application/json",
    };
    let mut headers = vec![("accept", accept)];
    if !step.object.is_empty() {
        headers.push(("content-type", content_type));
    }
    let body = Bytes::from(step.object.to_owned());
    let answer = client.send(method.clone(), path, &headers, body).await?;
    let text = answer.text();
    let shown: String = text.trim().chars().take(500).collect();
    println!("{}\n{shown}", answer.status);
    let (status, part) = step.answered;
    anyhow::ensure!(
        answer.status.as_u16() == status && text.contains(part),
        "expected {status} with `{part}`"
    );
    Ok(())
}
