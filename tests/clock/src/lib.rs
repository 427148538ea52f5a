//! `clock_gettime` of the time of day that a test wants: the system's, and as many seconds later as the file says that
//! `OUTRIGGER_TESTS_CLOCK` names (a number, below zero for earlier). Other clocks are as they are.
//!
//! For `LD_PRELOAD`: programs that ask the C library for the time ask this.

#![allow(unsafe_code, reason = "a function of the C library is replaced")]

use libc::{CLOCK_REALTIME, SYS_clock_gettime, c_int, clockid_t, time_t, timespec};

/// # Safety
/// As that of the C library: `time` points to a timespec that can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clock_gettime(clock: clockid_t, time: *mut timespec) -> c_int {
    // SAFETY: the arguments are those of this very system call.
    let result = unsafe { libc::syscall(SYS_clock_gettime, clock, time) };
    if result != 0 {
        return -1;
    }
    if clock == CLOCK_REALTIME {
        // SAFETY: the kernel has just written there.
        unsafe { (*time).tv_sec += ahead() };
    }
    0
}

/// Read each time: the clock jumps when the file changes.
fn ahead() -> time_t {
    let file = std::env::var_os("OUTRIGGER_TESTS_CLOCK");
    let text = file.and_then(|it| std::fs::read_to_string(it).ok());
    text.and_then(|it| it.trim().parse().ok()).unwrap_or(0)
}
