//! What keeps the server from starting is named in one line, with what to do, and nothing is changed.

use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::Result;
use outrigger_tests::artifacts;
use outrigger_tests::certificates::{Authority, Signed};
use outrigger_tests::host::{DevFolders, free_port};
use outrigger_tests::kubeconfig::Kubeconfig;
use outrigger_tests::process::Process;

const END_DEADLINE: Duration = Duration::from_secs(60);

/// Runs a command that must end by itself with a failure, and returns its last line.
async fn refused(folders: &DevFolders, command: &mut Command) -> Result<String> {
    let log = folders.path("refused.log");
    let _ = std::fs::remove_file(&log);
    let mut process = Process::spawn("outrigger", command, log)?;
    let status = process.wait(END_DEADLINE).await?;
    assert!(!status.success(), "it started:\n{}", process.log());
    let log = process.log();
    assert!(!log.contains("panicked"), "{log}");
    Ok(log.lines().last().unwrap_or("").to_owned())
}

#[track_caller]
fn assert_says(line: &str, words: &[&str]) {
    for word in words {
        assert!(line.contains(word), "no `{word}` in: {line}");
    }
}

#[tokio::test]
async fn names_a_port_that_is_in_use() -> Result<()> {
    let folders = DevFolders::new()?;
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let port = taken.local_addr()?.port();
    let line = refused(&folders, &mut folders.command(port)?).await?;
    assert_says(&line, &[&port.to_string(), "in use"]);
    Ok(())
}

#[tokio::test]
async fn names_a_store_that_another_server_holds() -> Result<()> {
    let folders = DevFolders::new()?;
    let dev = folders.start().await?;
    let line = refused(&folders, &mut folders.command(free_port()?)?).await?;
    assert_says(&line, &[&folders.data().display().to_string()]);
    dev.stop().await
}

#[tokio::test]
async fn refuses_a_data_folder_that_is_not_its_own() -> Result<()> {
    let folders = DevFolders::new()?;
    std::fs::create_dir(folders.data())?;
    std::fs::write(folders.data().join("thesis.txt"), "years of work")?;
    let line = refused(&folders, &mut folders.command(free_port()?)?).await?;
    assert_says(&line, &[&folders.data().display().to_string()]);
    let left: Vec<_> = std::fs::read_dir(folders.data())?.collect();
    assert_eq!(left.len(), 1, "it wrote into a foreign folder");
    Ok(())
}

#[tokio::test]
async fn refuses_a_store_of_a_newer_release() -> Result<()> {
    let folders = DevFolders::new()?;
    folders.start().await?.stop().await?;
    let store = rusqlite::Connection::open(folders.data().join("store/store.sqlite3"))?;
    store.execute("UPDATE meta SET value = 1000 WHERE name = 'format'", [])?;
    drop(store);
    let line = refused(&folders, &mut folders.command(free_port()?)?).await?;
    assert_says(&line, &["store.sqlite3", "newer release"]);
    Ok(())
}

#[tokio::test]
async fn refuses_a_data_folder_that_is_a_file() -> Result<()> {
    let folders = DevFolders::new()?;
    std::fs::write(folders.data(), "a file")?;
    let line = refused(&folders, &mut folders.command(free_port()?)?).await?;
    assert_says(&line, &[&folders.data().display().to_string()]);
    Ok(())
}

#[tokio::test]
async fn names_a_plugins_folder_that_is_missing() -> Result<()> {
    let folders = DevFolders::new()?;
    std::fs::remove_dir(folders.path("plugins"))?;
    let line = refused(&folders, &mut folders.command(free_port()?)?).await?;
    assert_says(&line, &[&folders.path("plugins").display().to_string()]);
    Ok(())
}

/// `serve` with a serving certificate of its own; the cluster of its kubeconfig is never reached.
fn serve(folders: &DevFolders, certificate: &str, key: &str) -> Result<Command> {
    let (crt, private_key) = (folders.path("tls.crt"), folders.path("tls.key"));
    std::fs::write(&crt, certificate)?;
    std::fs::write(&private_key, key)?;
    let ca = Authority::new("cluster-ca")?;
    let Signed { certificate, key } = ca.client("system:serviceaccount:a:b", &[])?;
    let kubeconfig = folders.path("kubeconfig");
    Kubeconfig {
        server: format!("https://127.0.0.1:{}", free_port()?),
        ca_pem: ca.certificate.clone(),
        certificate: Some((certificate, key)),
        ..Kubeconfig::default()
    }
    .write(&kubeconfig)?;
    let mut command = Command::new(artifacts::outrigger()?);
    let flag = |name: &str, path: &Path| format!("--{name}={}", path.display());
    command
        .arg("serve")
        .arg(flag("plugins", &folders.path("plugins")))
        .arg(flag("data-dir", folders.data()))
        .arg(flag("kubeconfig", &kubeconfig))
        .arg(flag("tls-cert-file", &crt))
        .arg(flag("tls-private-key-file", &private_key))
        .arg(format!("--secure-port={}", free_port()?))
        .arg("--service=outrigger/outrigger:443");
    Ok(command)
}

#[tokio::test]
async fn names_a_serving_certificate_that_has_expired() -> Result<()> {
    let folders = DevFolders::new()?;
    let ca = Authority::new("a-ca")?;
    let expired = ca.expired_serving(&["outrigger.outrigger.svc"])?;
    let mut command = serve(&folders, &expired.certificate, &expired.key)?;
    let line = refused(&folders, &mut command).await?;
    assert_says(&line, &["tls.crt", "expired"]);
    Ok(())
}

#[tokio::test]
async fn names_a_key_that_is_not_the_certificates() -> Result<()> {
    let folders = DevFolders::new()?;
    let ca = Authority::new("a-ca")?;
    let one = ca.serving(&["outrigger.outrigger.svc"])?;
    let other = ca.serving(&["outrigger.outrigger.svc"])?;
    let mut command = serve(&folders, &one.certificate, &other.key)?;
    let line = refused(&folders, &mut command).await?;
    assert_says(&line, &["tls.key"]);
    Ok(())
}

#[tokio::test]
async fn names_a_certificate_file_that_cannot_be_read() -> Result<()> {
    let folders = DevFolders::new()?;
    let one = Authority::new("a-ca")?.serving(&["outrigger.outrigger.svc"])?;
    let mut command = serve(&folders, &one.certificate, &one.key)?;
    std::fs::remove_file(folders.path("tls.crt"))?;
    let line = refused(&folders, &mut command).await?;
    assert_says(&line, &["tls.crt"]);
    let mut command = serve(&folders, "no PEM at all", &one.key)?;
    let line = refused(&folders, &mut command).await?;
    assert_says(&line, &["tls.crt"]);
    Ok(())
}
