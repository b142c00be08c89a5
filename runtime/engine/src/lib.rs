//! brig-engine: Wasmtime's C API plus what it lacks. Linked into brig-worker (no compiler) and brig-compiler.

// The C API's symbols are exported by the crate itself; naming it here links it in.
pub use wasmtime_c_api::*;

use std::fs::File;
use std::os::fd::{FromRawFd, OwnedFd};
use wasmtime::{Engine, Module};

// wasmtime_module_t has one field, a Module, that the crate keeps to itself. A structure as large as its only field
// that is not zero-sized holds that field at offset 0, so that a Module can be read and written in its place.
const _: () = assert!(size_of::<wasmtime_module_t>() == size_of::<Module>());
const _: () = assert!(align_of::<wasmtime_module_t>() == align_of::<Module>());

// wasm_engine_t is repr(C) with one field, an Engine.
const _: () = assert!(size_of::<wasm_engine_t>() == size_of::<Engine>());

/// Maps an artifact that this installation's compiler wrote, from an open descriptor.
///
/// Takes `fd` (closed on return; the mapping outlives it). On success `*out` owns a module, freed with
/// `wasmtime_module_delete`, and NULL is returned; on failure the error is returned and `*out` is untouched.
///
/// # Safety
/// The artifact's bytes become machine code: the caller has authenticated this very file, and it is sealed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn brig_module_deserialize_fd(
    engine: *const wasm_engine_t,
    fd: std::ffi::c_int,
    out: *mut *mut wasmtime_module_t,
) -> Option<Box<wasmtime_error_t>> {
    let engine = unsafe { &*engine.cast::<Engine>() };
    let file = File::from(unsafe { OwnedFd::from_raw_fd(fd) });
    match unsafe { Module::deserialize_open_file(engine, file) } {
        Ok(module) => {
            unsafe { *out = Box::into_raw(Box::new(module)).cast::<wasmtime_module_t>() };
            None
        }
        Err(error) => Some(Box::new(wasmtime_error_t::from(error))),
    }
}

/// Compiles a module to an artifact without making any of it executable here.
///
/// Borrows `wasm[0..len]`, binary format only. On success `*out` owns the artifact's bytes, freed with
/// `wasm_byte_vec_delete`, and NULL is returned; on failure the error is returned and `*out` is untouched.
///
/// # Safety
/// `engine`, `wasm` and `out` are valid; `engine` was made by this library.
#[cfg(feature = "compiler")]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn brig_module_precompile(
    engine: *const wasm_engine_t,
    wasm: *const u8,
    len: usize,
    out: *mut wasm_byte_vec_t,
) -> Option<Box<wasmtime_error_t>> {
    let engine = unsafe { &*engine.cast::<Engine>() };
    match engine.precompile_module(unsafe { std::slice::from_raw_parts(wasm, len) }) {
        Ok(bytes) => {
            unsafe { out.write(wasm_byte_vec_t::from(bytes)) };
            None
        }
        Err(error) => Some(Box::new(wasmtime_error_t::from(error))),
    }
}
