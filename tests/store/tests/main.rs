//! The embedded store over kills, faults of the disk and power losses.

mod backups;
mod damage;
mod kills;
mod losses;
