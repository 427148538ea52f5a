//! The file system that SQLite is given: each file is one of the real file system, behind a few words of ours.
//!
//! ```text
//!   sqlite3_file as SQLite sees it:  | methods | watched | the real file system's sqlite3_file … |
//! ```

#![expect(
    unsafe_code,
    reason = "a file system of SQLite is a table of C functions over memory that SQLite owns"
)]

use std::ffi::{CStr, OsStr, c_char, c_int, c_uint, c_void};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::ptr;
use std::sync::{Arc, Once, OnceLock, Weak};

use rusqlite::ffi;

use super::{Action, Change, Outcome, State, disk_of};

/// In front of the real file: pointers, so that what is behind is aligned for pointers as SQLite aligns files.
#[repr(C)]
struct Front {
    base: ffi::sqlite3_file,
    /// `null` where nobody watches.
    watched: *mut Watched,
}

struct Watched {
    path: PathBuf,
    // Connections may outlive the test's disk.
    disk: Weak<State>,
}

/// The real file system, found once.
struct Real(*mut ffi::sqlite3_vfs);

// SAFETY: SQLite's own file system is a constant table; its functions may be called from any thread.
unsafe impl Send for Real {}
// SAFETY: the same.
unsafe impl Sync for Real {}

static REAL: OnceLock<Real> = OnceLock::new();

static METHODS: ffi::sqlite3_io_methods = ffi::sqlite3_io_methods {
    // Without xFetch, so that everything is read and written by calls.
    iVersion: 2,
    xClose: Some(close),
    xRead: Some(read),
    xWrite: Some(write),
    xTruncate: Some(truncate),
    xSync: Some(sync),
    xFileSize: Some(file_size),
    xLock: Some(lock),
    xUnlock: Some(unlock),
    xCheckReservedLock: Some(check_reserved_lock),
    xFileControl: Some(file_control),
    xSectorSize: Some(sector_size),
    xDeviceCharacteristics: Some(device_characteristics),
    xShmMap: Some(shm_map),
    xShmLock: Some(shm_lock),
    xShmBarrier: Some(shm_barrier),
    xShmUnmap: Some(shm_unmap),
    xFetch: None,
    xUnfetch: None,
};

/// Makes this the file system of every database that the process opens from now on.
pub(super) fn install() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        // SAFETY: the default file system lives as long as the process, and so does its copy, which is leaked.
        // Its other functions look at the fields that are copied only.
        unsafe {
            let real = ffi::sqlite3_vfs_find(ptr::null());
            assert!(!real.is_null(), "SQLite has a file system");
            let front = c_int::try_from(size_of::<Front>()).expect("a few words");
            let mut ours = Box::new(ptr::read(real));
            ours.szOsFile += front;
            ours.pNext = ptr::null_mut();
            ours.zName = c"outrigger-disk".as_ptr();
            ours.xOpen = Some(open);
            ours.xDelete = Some(delete);
            let _ = REAL.set(Real(real));
            let registered = ffi::sqlite3_vfs_register(Box::leak(ours), 1);
            assert_eq!(registered, ffi::SQLITE_OK, "the file system is taken");
            let extended = ffi::sqlite3_auto_extension(Some(on_connection));
            assert_eq!(extended, ffi::SQLITE_OK, "connections are seen");
        }
    });
}

fn real_vfs() -> *mut ffi::sqlite3_vfs {
    REAL.get().expect("installed before any call").0
}

/// # Safety
/// `name` is null or a C string.
unsafe fn path_of<'a>(name: *const c_char) -> Option<&'a Path> {
    if name.is_null() {
        return None;
    }
    // SAFETY: the caller's.
    let name = unsafe { CStr::from_ptr(name) };
    Some(Path::new(OsStr::from_bytes(name.to_bytes())))
}

/// # Safety
/// `file` was opened by [`open`].
unsafe fn real(file: *mut ffi::sqlite3_file) -> *mut ffi::sqlite3_file {
    // SAFETY: SQLite gave the front and the real file as one piece of memory.
    unsafe { file.cast::<Front>().add(1).cast() }
}

/// # Safety
/// `file` was opened by [`open`], which has left the real one open with its methods.
unsafe fn methods<'a>(file: *mut ffi::sqlite3_file) -> &'a ffi::sqlite3_io_methods {
    // SAFETY: the caller's.
    unsafe { &*(*real(file)).pMethods }
}

/// # Safety
/// `file` was opened by [`open`].
unsafe fn watched<'a>(file: *mut ffi::sqlite3_file) -> Option<(&'a Path, Arc<State>)> {
    // SAFETY: set by `open`, freed by `close` only.
    let watched = unsafe { (*file.cast::<Front>()).watched.as_ref() }?;
    Some((&watched.path, watched.disk.upgrade()?))
}

unsafe extern "C" fn open(
    _vfs: *mut ffi::sqlite3_vfs,
    name: ffi::sqlite3_filename,
    file: *mut ffi::sqlite3_file,
    flags: c_int,
    out_flags: *mut c_int,
) -> c_int {
    // SAFETY: SQLite gives `szOsFile` bytes for the file, which have room for the front and the real one.
    unsafe {
        let front = file.cast::<Front>();
        (*front).base.pMethods = ptr::null();
        (*front).watched = ptr::null_mut();
        let path = path_of(name);
        let disk = path.and_then(disk_of);
        let was_there = path.is_some_and(Path::exists);
        if let (Some(path), Some(disk)) = (path, &disk)
            && disk.ask(path, Action::Open) != Outcome::Pass
        {
            return ffi::SQLITE_CANTOPEN;
        }
        let vfs = real_vfs();
        let open = (*vfs).xOpen.expect("every file system opens");
        let opened = open(vfs, name, real(file), flags, out_flags);
        if opened != ffi::SQLITE_OK {
            let real_methods = (*real(file)).pMethods;
            if !real_methods.is_null() {
                (*real_methods).xClose.map(|close| close(real(file)));
            }
            return opened;
        }
        if let (Some(path), Some(disk)) = (path, disk) {
            disk.note_open(path, was_there);
            (*front).watched = Box::into_raw(Box::new(Watched {
                path: path.to_owned(),
                disk: Arc::downgrade(&disk),
            }));
        }
        (*front).base.pMethods = &raw const METHODS;
        ffi::SQLITE_OK
    }
}

unsafe extern "C" fn delete(
    _vfs: *mut ffi::sqlite3_vfs,
    name: *const c_char,
    sync_dir: c_int,
) -> c_int {
    // SAFETY: SQLite gives a C string.
    unsafe {
        let path = path_of(name);
        let disk = path.and_then(disk_of);
        if let (Some(path), Some(disk)) = (path, &disk)
            && disk.ask(path, Action::Delete) != Outcome::Pass
        {
            return ffi::SQLITE_IOERR_DELETE;
        }
        let vfs = real_vfs();
        let delete = (*vfs).xDelete.expect("every file system deletes");
        let deleted = delete(vfs, name, sync_dir);
        if let (Some(path), Some(disk), ffi::SQLITE_OK) = (path, disk, deleted) {
            disk.note_delete(path);
        }
        deleted
    }
}

unsafe extern "C" fn close(file: *mut ffi::sqlite3_file) -> c_int {
    // SAFETY: SQLite closes a file once; nothing uses what was watched after that.
    unsafe {
        let closed = methods(file).xClose.expect("a method")(real(file));
        let watched = (*file.cast::<Front>()).watched;
        if !watched.is_null() {
            drop(Box::from_raw(watched));
        }
        closed
    }
}

unsafe extern "C" fn write(
    file: *mut ffi::sqlite3_file,
    bytes: *const c_void,
    len: c_int,
    at: ffi::sqlite3_int64,
) -> c_int {
    // SAFETY: SQLite gives `len` bytes.
    unsafe {
        let write = methods(file).xWrite.expect("a method");
        let Some((path, disk)) = watched(file) else {
            return write(real(file), bytes, len, at);
        };
        let outcome = disk.ask(path, Action::Write);
        let done = match outcome {
            Outcome::Pass => len,
            Outcome::Short => len / 2,
            Outcome::Full => return ffi::SQLITE_FULL,
            Outcome::Fail => return ffi::SQLITE_IOERR_WRITE,
        };
        let written = write(real(file), bytes, done, at);
        if written != ffi::SQLITE_OK {
            return written;
        }
        let slice =
            std::slice::from_raw_parts(bytes.cast::<u8>(), usize::try_from(done).unwrap_or(0));
        let change = Change::Write {
            at: usize::try_from(at).unwrap_or(0),
            bytes: slice.to_vec(),
        };
        disk.note(path, change);
        match outcome {
            Outcome::Pass => ffi::SQLITE_OK,
            _ => ffi::SQLITE_FULL,
        }
    }
}

unsafe extern "C" fn truncate(file: *mut ffi::sqlite3_file, size: ffi::sqlite3_int64) -> c_int {
    // SAFETY: the file is open.
    unsafe {
        let truncate = methods(file).xTruncate.expect("a method");
        let Some((path, disk)) = watched(file) else {
            return truncate(real(file), size);
        };
        if disk.ask(path, Action::Truncate) != Outcome::Pass {
            return ffi::SQLITE_IOERR_TRUNCATE;
        }
        let truncated = truncate(real(file), size);
        if truncated == ffi::SQLITE_OK {
            disk.note(path, Change::Truncate(usize::try_from(size).unwrap_or(0)));
        }
        truncated
    }
}

/// The real file is not synced: what would be left is known without.
unsafe extern "C" fn sync(file: *mut ffi::sqlite3_file, flags: c_int) -> c_int {
    // SAFETY: the file is open.
    unsafe {
        let Some((path, disk)) = watched(file) else {
            return methods(file).xSync.expect("a method")(real(file), flags);
        };
        let outcome = disk.ask(path, Action::Sync);
        disk.note_sync(path, matches!(outcome, Outcome::Pass | Outcome::Short));
        match outcome {
            Outcome::Pass => ffi::SQLITE_OK,
            _ => ffi::SQLITE_IOERR_FSYNC,
        }
    }
}

unsafe extern "C" fn file_control(
    file: *mut ffi::sqlite3_file,
    operation: c_int,
    argument: *mut c_void,
) -> c_int {
    // SAFETY: with this operation SQLite gives an array of three strings: room for an error, name, value.
    unsafe {
        if operation == ffi::SQLITE_FCNTL_PRAGMA
            && let Some((_, disk)) = watched(file)
            && disk
                .is_never_synced
                .load(std::sync::atomic::Ordering::SeqCst)
        {
            let strings = argument.cast::<*const c_char>();
            let name = path_of(*strings.add(1));
            let is_set = !(*strings.add(2)).is_null();
            // `on_connection` has set it already.
            if is_set && name == Some(Path::new("synchronous")) {
                return ffi::SQLITE_OK;
            }
        }
        methods(file).xFileControl.expect("a method")(real(file), operation, argument)
    }
}

/// Each new connection of the process: its statements tell what the store is doing.
unsafe extern "C" fn on_connection(
    connection: *mut ffi::sqlite3,
    _error: *mut *mut c_char,
    _api: *const ffi::sqlite3_api_routines,
) -> c_int {
    // SAFETY: the connection is open, and outlived by the leaked pointer.
    unsafe {
        let Some(disk) =
            path_of(ffi::sqlite3_db_filename(connection, c"main".as_ptr())).and_then(disk_of)
        else {
            return ffi::SQLITE_OK;
        };
        if disk
            .is_never_synced
            .load(std::sync::atomic::Ordering::SeqCst)
        {
            // Not through `file_control`: that lets only this one through.
            disk.is_never_synced
                .store(false, std::sync::atomic::Ordering::SeqCst);
            let off = c"PRAGMA synchronous=OFF";
            ffi::sqlite3_exec(
                connection,
                off.as_ptr(),
                None,
                ptr::null_mut(),
                ptr::null_mut(),
            );
            disk.is_never_synced
                .store(true, std::sync::atomic::Ordering::SeqCst);
        }
        let watcher = Box::into_raw(Box::new(Arc::downgrade(&disk)));
        ffi::sqlite3_trace_v2(
            connection,
            ffi::SQLITE_TRACE_STMT as c_uint,
            Some(on_statement),
            watcher.cast(),
        )
    }
}

unsafe extern "C" fn on_statement(
    _event: c_uint,
    watcher: *mut c_void,
    _statement: *mut c_void,
    sql: *mut c_void,
) -> c_int {
    // SAFETY: the watcher is the one that `on_connection` has leaked; with this event `sql` is a C string.
    unsafe {
        let disk = (*watcher.cast::<Weak<State>>()).upgrade();
        let sql = CStr::from_ptr(sql.cast()).to_str();
        if let (Some(disk), Ok(sql)) = (disk, sql) {
            disk.note_statement(sql);
        }
    }
    0
}

unsafe extern "C" fn read(
    file: *mut ffi::sqlite3_file,
    into: *mut c_void,
    len: c_int,
    at: ffi::sqlite3_int64,
) -> c_int {
    // SAFETY: SQLite gives room for `len` bytes.
    unsafe {
        if let Some((path, disk)) = watched(file)
            && disk.ask(path, Action::Read) != Outcome::Pass
        {
            return ffi::SQLITE_IOERR_READ;
        }
        methods(file).xRead.expect("a method")(real(file), into, len, at)
    }
}

/// What goes to the real file as it is.
macro_rules! pass {
    ($name:ident, $method:ident, ($($argument:ident: $kind:ty),*)) => {
        unsafe extern "C" fn $name(file: *mut ffi::sqlite3_file, $($argument: $kind),*) -> c_int {
            // SAFETY: SQLite's arguments, for the real file.
            unsafe { methods(file).$method.expect("a method")(real(file), $($argument),*) }
        }
    };
}

pass!(file_size, xFileSize, (size: *mut ffi::sqlite3_int64));
pass!(lock, xLock, (level: c_int));
pass!(unlock, xUnlock, (level: c_int));
pass!(check_reserved_lock, xCheckReservedLock, (result: *mut c_int));
pass!(sector_size, xSectorSize, ());
pass!(device_characteristics, xDeviceCharacteristics, ());
pass!(shm_map, xShmMap, (page: c_int, size: c_int, extend: c_int, mapped: *mut *mut c_void));
pass!(shm_lock, xShmLock, (offset: c_int, number: c_int, flags: c_int));
pass!(shm_unmap, xShmUnmap, (is_deleted: c_int));

unsafe extern "C" fn shm_barrier(file: *mut ffi::sqlite3_file) {
    // SAFETY: the file is open.
    unsafe { methods(file).xShmBarrier.expect("a method")(real(file)) }
}
