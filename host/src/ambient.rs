//! Time and chance, injected so that tests are exact; and what the machine has.

use std::num::NonZero;
use std::sync::LazyLock;
use std::thread;

use jiff::Timestamp;

/// Time stamps of objects and the deadlines of business logic; timers of sockets are tokio's.
pub trait Clock: Send + Sync {
    fn now(&self) -> Timestamp;
}

pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

/// RFC 3339 in whole seconds, as metav1.Time writes it.
pub fn rfc3339(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// Uids of objects and the ends of generated names.
pub trait UidSource: Send + Sync {
    /// A version 4 UUID.
    fn uid(&self) -> String;
    /// Five characters of `bcdfghjklmnpqrstvwxz2456789` (k8s.io/apimachinery, pkg/util/rand).
    fn name_suffix(&self) -> String;
}

pub struct RandomUids;

impl UidSource for RandomUids {
    fn uid(&self) -> String {
        uuid::Uuid::new_v4().to_string()
    }

    fn name_suffix(&self) -> String {
        const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
        let random = uuid::Uuid::new_v4();
        random.as_bytes()[..5]
            .iter()
            .map(|byte| char::from(ALPHABET[usize::from(*byte) % ALPHABET.len()]))
            .collect()
    }
}

/// How many processors this process may use. The operating system takes 0.1 ms to tell, and hundreds ask at a start.
pub fn processors() -> usize {
    static PROCESSORS: LazyLock<usize> =
        LazyLock::new(|| thread::available_parallelism().map_or(1, NonZero::get));
    *PROCESSORS
}
