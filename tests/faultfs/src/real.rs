//! The C library's own functions.

use std::{
    ffi::{CStr, CString, OsStr, c_int, c_void},
    os::unix::ffi::OsStrExt as _,
    sync::OnceLock,
};

/// Finds the next definition of a function after this library's.
pub(crate) fn find(cell: &OnceLock<usize>, name: &CStr) -> usize {
    // SAFETY: the name ends with NUL; RTLD_NEXT asks for what stands behind this library.
    *cell.get_or_init(|| unsafe { libc::dlsym(libc::RTLD_NEXT, name.as_ptr()) as usize })
}

/// Calls the C library's function of this name and type.
macro_rules! real {
    ($name:literal, fn($($kind:ty),*) -> $answer:ty, $($argument:expr),*) => {{
        static CELL: std::sync::OnceLock<usize> = std::sync::OnceLock::new();
        let address = $crate::real::find(&CELL, $name);
        // SAFETY: the type is that of the C function of this name.
        unsafe {
            let function: extern "C" fn($($kind),*) -> $answer = std::mem::transmute(address);
            function($($argument),*)
        }
    }};
}
pub(crate) use real;

/// Makes a file and leaves it open.
pub(crate) fn create(path: &OsStr) -> Option<c_int> {
    let path = CString::new(path.as_bytes()).ok()?;
    let flags = libc::O_CREAT | libc::O_TRUNC | libc::O_WRONLY | libc::O_CLOEXEC;
    let fd = real!(
        c"open",
        fn(*const std::ffi::c_char, c_int, libc::mode_t) -> c_int,
        path.as_ptr(),
        flags,
        0o600
    );
    (fd >= 0).then_some(fd)
}

/// Writes at a place; what fails here shows in the test that reads it.
pub(crate) fn write_at(fd: c_int, bytes: &[u8], at: libc::off_t) {
    real!(
        c"pwrite",
        fn(c_int, *const c_void, libc::size_t, libc::off_t) -> libc::ssize_t,
        fd,
        bytes.as_ptr().cast(),
        bytes.len(),
        at
    );
}

/// Sets the error number.
pub(crate) fn set_errno(number: c_int) {
    // SAFETY: the location is this thread's own.
    unsafe { *libc::__errno_location() = number }
}
