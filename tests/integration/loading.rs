//! The loader of plugins over a folder, with a compiler and a clock of the test's own.

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use outrigger::plugin::{Engine, Loaded, Loader, LoaderConfig, NoObjects};
use outrigger::storage::memory::MemoryStorage;
use outrigger_tests::artifacts::{example, guest, outrigger};
use outrigger_tests::host::{DevFolders, READY_DEADLINE};
use tokio::sync::watch;

fn start(folders: &DevFolders, compiler: PathBuf) -> Result<Loader> {
    let config = LoaderConfig {
        folder: folders.path("plugins"),
        data_dir: folders.data().to_owned(),
        compiler,
    };
    let engine = Arc::new(Engine::new()?);
    let storage = Arc::new(MemoryStorage::new());
    Loader::start(config, engine, storage, Arc::new(NoObjects))
}

/// Waits until what is loaded is as `is_wanted` says.
async fn wait_loaded(
    loaded: &mut watch::Receiver<Arc<Loaded>>,
    is_wanted: impl FnMut(&Arc<Loaded>) -> bool,
) -> Result<Arc<Loaded>> {
    let waiting = tokio::time::timeout(READY_DEADLINE, loaded.wait_for(is_wanted));
    let found = waiting.await.context("it is not loaded in time")??;
    Ok(Arc::clone(&found))
}

fn names(loaded: &Loaded) -> Vec<&str> {
    loaded.plugins.iter().map(|it| it.name.as_str()).collect()
}

/// Compiles what is in the folder.
async fn compile(folders: &DevFolders) -> Result<()> {
    let loader = start(folders, outrigger()?)?;
    let loaded = wait_loaded(&mut loader.loaded(), |it| it.is_complete).await?;
    ensure!(loaded.problems.is_empty(), "{:?}", loaded.problems);
    Ok(())
}

#[tokio::test]
async fn serves_what_is_compiled_while_another_is_compiled_and_is_complete_after_that() -> Result<()>
{
    let folders = DevFolders::new()?;
    folders.drop_plugin(&example("hello")?, "hello")?;
    compile(&folders).await?;

    // A compiler that does not begin before somebody writes into the pipe.
    let pipe = folders.path("pipe");
    ensure!(Command::new("mkfifo").arg(&pipe).status()?.success());
    let compiler = folders.path("compiler");
    let (pipe_shown, program) = (pipe.display(), outrigger()?);
    let script = format!(
        "#!/bin/sh\nread word < '{pipe_shown}'\nexec '{}' \"$@\"\n",
        program.display()
    );
    std::fs::write(&compiler, script)?;
    std::fs::set_permissions(&compiler, std::fs::Permissions::from_mode(0o700))?;
    // Before the other one in the order of names.
    folders.drop_plugin(&guest("second")?, "a-second")?;

    let loader = start(&folders, compiler)?;
    let mut loaded = loader.loaded();
    let first = wait_loaded(&mut loaded, |it| !it.plugins.is_empty()).await?;
    assert_eq!(names(&first), ["hello"]);
    assert!(!first.is_complete, "the other is being compiled");

    let go = tokio::task::spawn_blocking(move || {
        // Opening it waits for the compiler.
        let mut pipe = std::fs::OpenOptions::new().write(true).open(pipe)?;
        pipe.write_all(b"go\n")
    });
    go.await??;
    let all = wait_loaded(&mut loaded, |it| it.is_complete).await?;
    assert_eq!(names(&all), ["a-second", "hello"]);
    assert_eq!(all.problems, []);
    Ok(())
}

#[tokio::test]
async fn does_not_wait_for_a_fresh_file_whose_content_was_compiled_before() -> Result<()> {
    let folders = DevFolders::new()?;
    folders.drop_plugin(&example("hello")?, "hello")?;
    compile(&folders).await?;
    folders.drop_plugin(&example("hello")?, "hello")?;

    tokio::time::pause();
    let began = tokio::time::Instant::now();
    let loader = start(&folders, PathBuf::from("/no/compiler"))?;
    let loaded = wait_loaded(&mut loader.loaded(), |it| it.is_complete).await?;
    assert_eq!(names(&loaded), ["hello"]);
    // One poll more is what a file takes that nobody knows.
    assert!(began.elapsed() < Duration::from_millis(500));
    Ok(())
}

#[tokio::test]
async fn asks_for_the_manifest_again_when_the_settings_have_changed() -> Result<()> {
    let folders = DevFolders::new()?;
    folders.drop_plugin(&guest("named_by_settings")?, "named")?;
    for plural in ["ships", "boats", "boats"] {
        let document = format!(
            "apiVersion: outrigger.dev/v1alpha1\nkind: Plugin\nmetadata: {{name: named}}\n\
             spec: {{settings: {{plural: {plural}}}}}\n"
        );
        std::fs::write(folders.path("plugins").join("named.yaml"), document)?;
        let loader = start(&folders, outrigger()?)?;
        let loaded = wait_loaded(&mut loader.loaded(), |it| it.is_complete).await?;
        ensure!(loaded.problems.is_empty(), "{:?}", loaded.problems);
        let served = &loaded.plugins[0].resources[0].definition.names.plural;
        assert_eq!(served, plural);
    }
    Ok(())
}

#[tokio::test]
async fn does_not_run_compiled_code_that_was_changed() -> Result<()> {
    let folders = DevFolders::new()?;
    folders.drop_plugin(&example("hello")?, "hello")?;
    compile(&folders).await?;
    for file in std::fs::read_dir(folders.data().join("compiled"))? {
        let path = file?.path();
        if path.extension().is_some_and(|it| it == "cwasm") {
            let mut code = std::fs::read(&path)?;
            let middle = code.len() / 2;
            code[middle] ^= 1;
            std::fs::write(&path, code)?;
        }
    }

    let loader = start(&folders, PathBuf::from("/no/compiler"))?;
    let loaded = wait_loaded(&mut loader.loaded(), |it| it.is_complete).await?;
    let problem = &loaded.problems.first().context("it is served")?.message;
    assert!(problem.contains("cannot be compiled now"), "{problem}");
    drop(loader);

    compile(&folders).await?;
    let loader = start(&folders, PathBuf::from("/no/compiler"))?;
    let loaded = wait_loaded(&mut loader.loaded(), |it| it.is_complete).await?;
    assert_eq!(names(&loaded), ["hello"]);
    Ok(())
}
