//! A TCP line to a server on this machine, which a test can cut: what is sent then stays on its way until it is mended.

use std::io;

use anyhow::Result;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

/// Ends, with all its connections, when it is dropped.
pub struct Line {
    port: u16,
    is_cut: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Line {
    /// A line to a port; who connects to [`Line::port`] is connected to that.
    ///
    /// # Errors
    /// There is no port to listen on.
    pub async fn to(port: u16) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let (is_cut, cut) = watch::channel(false);
        Ok(Self {
            port: listener.local_addr()?.port(),
            is_cut,
            task: tokio::spawn(serve(listener, port, cut)),
        })
    }

    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// As a switch that is off: connections stay, and nothing comes through.
    pub fn cut(&self) {
        self.is_cut.send_replace(true);
    }

    pub fn mend(&self) {
        self.is_cut.send_replace(false);
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(listener: TcpListener, port: u16, cut: watch::Receiver<bool>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            Ok((near, _)) = listener.accept() => {
                connections.spawn(connect(near, port, cut.clone()));
            }
            // Its ends have seen what became of it.
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn connect(near: TcpStream, port: u16, mut cut: watch::Receiver<bool>) -> io::Result<()> {
    mended(&mut cut).await?;
    let far = TcpStream::connect(("127.0.0.1", port)).await?;
    let (near_read, near_write) = near.into_split();
    let (far_read, far_write) = far.into_split();
    tokio::try_join!(
        carry(near_read, far_write, cut.clone()),
        carry(far_read, near_write, cut),
    )?;
    Ok(())
}

async fn carry(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut cut: watch::Receiver<bool>,
) -> io::Result<()> {
    let mut buffer = vec![0; 16 << 10];
    loop {
        let length = from.read(&mut buffer).await?;
        mended(&mut cut).await?;
        if length == 0 {
            return to.shutdown().await;
        }
        to.write_all(&buffer[..length]).await?;
    }
}

async fn mended(cut: &mut watch::Receiver<bool>) -> io::Result<()> {
    let waited = cut.wait_for(|it| !it).await;
    waited.map(drop).map_err(io::Error::other)
}
