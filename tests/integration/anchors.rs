//! A server that serves anchors.

use anyhow::Result;
use outrigger_tests::anchors::definition;
pub(crate) use outrigger_tests::anchors::{ALL_ANCHORS, ANCHORS, OLD_ANCHORS, anchor};
use outrigger_tests::client::Client;
use outrigger_tests::host::{Dev, DevFolders};

/// Folders of a server that will serve anchors.
pub(crate) fn folders() -> Result<DevFolders> {
    let folders = DevFolders::new()?;
    let document = folders.path("plugins").join("anchors.json");
    std::fs::write(document, definition().to_string())?;
    Ok(folders)
}

pub(crate) async fn start() -> Result<(DevFolders, Dev, Client)> {
    let folders = folders()?;
    let dev = folders.start().await?;
    let client = dev.client()?;
    Ok((folders, dev, client))
}
