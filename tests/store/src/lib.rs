//! What the embedded store is judged by: a disk that a test can break ([`disk`]), writers of known values
//! ([`writer`]), and the checkers of what they left ([`judge`]).
//!
//! Only [`disk`] has unsafe code: SQLite is given a file system of ours through its C interface.

pub mod disk;
pub mod journal;
pub mod judge;
pub mod reopen;
pub mod writer;
