//! The embedded store over kills, faults of the disk and power losses.

#![expect(clippy::print_stdout, reason = "tests say which seed they ran with")]

mod backups;
mod damage;
mod kills;
mod losses;
