//! The functions that stand before the C library's.
//!
//! Each has the name and the type of the C function; its caller keeps to that
//! function's contract, so passing the arguments on is sound.

use std::ffi::{c_char, c_int, c_void};

use libc::{mode_t, off_t, size_t, ssize_t};

use crate::{
    State, path_from, path_of,
    real::{real, set_errno},
    undo::Undo,
    watched,
};

/// Lets a change through, or fails it. `undo` is asked for before it happens.
fn change<T: From<i8>>(
    state: &mut State,
    needs_space: bool,
    undo: impl FnOnce() -> Option<Undo>,
    call: impl FnOnce() -> T,
) -> T {
    match state.step(needs_space) {
        Err(number) => {
            set_errno(number);
            T::from(-1)
        }
        Ok(()) => {
            state.note(undo());
            call()
        }
    }
}

fn open_with(path: *const c_char, flags: c_int, call: impl FnOnce() -> c_int) -> c_int {
    let mut call = Some(call);
    let mut run = || call.take().map_or(-1, |call| call());
    let answer = watched(|state| {
        let path = path_from(path).filter(|path| state.watches(path))?;
        let there = path.exists();
        if !there && flags & libc::O_CREAT != 0 {
            let undo = || Some(Undo::Name { path });
            return Some(change(state, true, undo, &mut run));
        }
        if there && flags & libc::O_TRUNC != 0 {
            return Some(change(state, false, || Undo::of_length(path, 0), &mut run));
        }
        None
    });
    answer.unwrap_or_else(run)
}

macro_rules! open_like {
    ($($name:ident $text:literal)*) => {$(
        /// Stands in for the C function of this name.
        #[unsafe(no_mangle)]
        pub extern "C" fn $name(path: *const c_char, flags: c_int, mode: mode_t) -> c_int {
            open_with(path, flags, || {
                real!($text, fn(*const c_char, c_int, mode_t) -> c_int, path, flags, mode)
            })
        }
    )*};
}
open_like!(open c"open" open64 c"open64");

fn write_with(
    fd: c_int,
    at: Option<off_t>,
    count: size_t,
    call: impl FnOnce() -> ssize_t,
) -> ssize_t {
    let mut call = Some(call);
    let mut run = || call.take().map_or(-1, |call| call());
    let answer = watched(|state| {
        let path = path_of(fd).filter(|path| state.watches(path))?;
        let undo = || {
            let at = at.map_or_else(|| position(fd), |at| u64::try_from(at).ok())?;
            Undo::of_write(path, at, count)
        };
        Some(change(state, true, undo, &mut run))
    });
    answer.unwrap_or_else(run)
}

/// Where a plain write goes.
fn position(fd: c_int) -> Option<u64> {
    // SAFETY: asking for flags and position changes nothing.
    let (flags, at, end) = unsafe {
        let at = libc::lseek(fd, 0, libc::SEEK_CUR);
        let mut stat: libc::stat = std::mem::zeroed();
        libc::fstat(fd, &raw mut stat);
        (libc::fcntl(fd, libc::F_GETFL), at, stat.st_size)
    };
    u64::try_from(if flags & libc::O_APPEND != 0 { end } else { at }).ok()
}

/// Stands in for the C function of this name.
#[unsafe(no_mangle)]
pub extern "C" fn write(fd: c_int, bytes: *const c_void, count: size_t) -> ssize_t {
    write_with(fd, None, count, || {
        real!(
            c"write",
            fn(c_int, *const c_void, size_t) -> ssize_t,
            fd,
            bytes,
            count
        )
    })
}

macro_rules! pwrite_like {
    ($($name:ident $text:literal)*) => {$(
        /// Stands in for the C function of this name.
        #[unsafe(no_mangle)]
        pub extern "C" fn $name(fd: c_int, bytes: *const c_void, count: size_t, at: off_t) -> ssize_t {
            write_with(fd, Some(at), count, || {
                real!($text, fn(c_int, *const c_void, size_t, off_t) -> ssize_t, fd, bytes, count, at)
            })
        }
    )*};
}
pwrite_like!(pwrite c"pwrite" pwrite64 c"pwrite64");

fn cut_with(fd: c_int, length: off_t, call: impl FnOnce() -> c_int) -> c_int {
    let mut call = Some(call);
    let mut run = || call.take().map_or(-1, |call| call());
    let answer = watched(|state| {
        let path = path_of(fd).filter(|path| state.watches(path))?;
        let undo = || Undo::of_length(path, u64::try_from(length).ok()?);
        Some(change(state, false, undo, &mut run))
    });
    answer.unwrap_or_else(run)
}

macro_rules! ftruncate_like {
    ($($name:ident $text:literal)*) => {$(
        /// Stands in for the C function of this name.
        #[unsafe(no_mangle)]
        pub extern "C" fn $name(fd: c_int, length: off_t) -> c_int {
            cut_with(fd, length, || real!($text, fn(c_int, off_t) -> c_int, fd, length))
        }
    )*};
}
ftruncate_like!(ftruncate c"ftruncate" ftruncate64 c"ftruncate64");

fn sync_with(fd: c_int, call: impl FnOnce() -> c_int) -> c_int {
    let mut call = Some(call);
    let mut run = || call.take().map_or(-1, |call| call());
    let answer = watched(|state| {
        let path = path_of(fd).filter(|path| state.watches(path))?;
        let answer = change(state, false, || None, &mut run);
        if answer == 0 {
            state.synced(&path);
        }
        Some(answer)
    });
    answer.unwrap_or_else(run)
}

macro_rules! fsync_like {
    ($($name:ident $text:literal)*) => {$(
        /// Stands in for the C function of this name.
        #[unsafe(no_mangle)]
        pub extern "C" fn $name(fd: c_int) -> c_int {
            sync_with(fd, || real!($text, fn(c_int) -> c_int, fd))
        }
    )*};
}
fsync_like!(fsync c"fsync" fdatasync c"fdatasync");

/// Stands in for the C function of this name.
#[unsafe(no_mangle)]
pub extern "C" fn unlink(path: *const c_char) -> c_int {
    let run = || real!(c"unlink", fn(*const c_char) -> c_int, path);
    let answer = watched(|state| {
        let path = path_from(path).filter(|path| state.watches(path) && path.exists())?;
        Some(change(state, false, || Undo::of_going(path), run))
    });
    answer.unwrap_or_else(run)
}

/// Stands in for the C function of this name.
#[unsafe(no_mangle)]
pub extern "C" fn rename(from: *const c_char, to: *const c_char) -> c_int {
    let run = || {
        real!(
            c"rename",
            fn(*const c_char, *const c_char) -> c_int,
            from,
            to
        )
    };
    let answer = watched(|state| {
        let (old, new) = (path_from(from)?, path_from(to)?);
        if !state.watches(&old) && !state.watches(&new) {
            return None;
        }
        // Taken back in reverse: the new name goes, what it replaced comes back,
        // and the old name comes back.
        let gone = Undo::of_going(old);
        let replaced = new.exists().then(|| Undo::of_going(new.clone())).flatten();
        let named = replaced.is_none().then_some(Undo::Name { path: new });
        state.note(gone);
        let answer = change(state, false, || replaced.or(named), run);
        Some(answer)
    });
    answer.unwrap_or_else(run)
}
