//! Waiting for what happens, with a deadline.

use std::fmt::Display;
use std::future::Future;
use std::time::Duration;

use anyhow::{Result, bail};
use tokio::time::{Instant, MissedTickBehavior};

/// How often the world is asked again.
const INTERVAL: Duration = Duration::from_millis(50);

/// Asks until the answer is `Ok`; past the deadline, the last error says why not.
pub async fn until<T, E, F>(what: &str, deadline: Duration, mut ask: impl FnMut() -> F) -> Result<T>
where
    E: Display,
    F: Future<Output = Result<T, E>>,
{
    let end = Instant::now() + deadline;
    let mut ticks = tokio::time::interval(INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        match ask().await {
            Ok(answer) => return Ok(answer),
            Err(err) if Instant::now() > end => {
                bail!("waited {} s for {what}: {err:#}", deadline.as_secs())
            }
            Err(_) => {}
        }
    }
}
