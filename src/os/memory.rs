//! Memory that is free in this program, but not yet for others.

/// Returns free memory to the system. The GNU allocator keeps what lies between allocations in use, which after a thousand sessions is most
/// of what they used; other allocators return it by themselves.
pub fn give_back() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        unsafe extern "C" {
            fn malloc_trim(pad: usize) -> std::ffi::c_int;
        }
        // SAFETY: takes no pointer, and may be called at any time from any thread (malloc_trim(3)).
        unsafe {
            malloc_trim(0);
        }
    }
}
