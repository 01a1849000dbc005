//! A guest that makes the hostcalls its configuration lists and logs what they answer. README.md has the language.
//!
//! This file holds what the host calls: the ABI's marker, the allocator, and the callbacks, which all end in [`run::callback`].

mod answer;
mod arguments;
mod guest_memory;
mod hostcalls;
mod parse;
mod run;
mod show;
mod wasi;

/// Exports one marker function; the host looks for its name and never calls it.
macro_rules! abi_version {
    ($feature:literal, $name:ident) => {
        #[cfg(feature = $feature)]
        #[unsafe(no_mangle)]
        pub extern "C" fn $name() {}
    };
}

abi_version!("abi-0-1-0", proxy_abi_version_0_1_0);
abi_version!("abi-0-2-0", proxy_abi_version_0_2_0);
abi_version!("abi-0-2-1", proxy_abi_version_0_2_1);
abi_version!("abi-0-2-100", proxy_abi_version_0_2_100);

/// Makes this a reactor. Without it the linker would take every export for a program of its own, and run the
/// constructors and destructors of the C library around each call.
#[unsafe(no_mangle)]
pub extern "C" fn _initialize() {
    unsafe extern "C" {
        fn __wasm_call_ctors();
    }
    // SAFETY: the host calls this once, before anything else.
    unsafe { __wasm_call_ctors() };
}

#[unsafe(no_mangle)]
pub extern "C" fn proxy_on_memory_allocate(size: usize) -> *mut u8 {
    guest_memory::allocate(size)
}

/// Exports the callbacks and lists their names. `action` and `truth` return a number (a Pause or Continue, a boolean),
/// which is 0 and 1 unless the script says otherwise; `event` returns nothing.
macro_rules! callbacks {
    ($($(#[$cfg:meta])* $kind:ident $name:ident($($arg:ident),*);)*) => {
        $(callbacks!(@export $(#[$cfg])* $kind $name($($arg),*));)*

        /// Every callback of this ABI, as a script names it.
        pub(crate) const CALLBACKS: &[&str] = &[$($(#[$cfg])* callbacks!(@name $name)),*];
    };
    (@name $name:ident) => {
        stringify!($name).split_at("proxy_".len()).1
    };
    (@export $(#[$cfg:meta])* action $name:ident($($arg:ident),*)) => {
        $(#[$cfg])*
        #[unsafe(no_mangle)]
        pub extern "C" fn $name($($arg: u32),*) -> u32 {
            run::callback(callbacks!(@name $name), &[$($arg),*], 0)
        }
    };
    (@export $(#[$cfg:meta])* truth $name:ident($($arg:ident),*)) => {
        $(#[$cfg])*
        #[unsafe(no_mangle)]
        pub extern "C" fn $name($($arg: u32),*) -> u32 {
            run::callback(callbacks!(@name $name), &[$($arg),*], 1)
        }
    };
    (@export $(#[$cfg:meta])* event $name:ident($($arg:ident),*)) => {
        $(#[$cfg])*
        #[unsafe(no_mangle)]
        pub extern "C" fn $name($($arg: u32),*) {
            run::callback(callbacks!(@name $name), &[$($arg),*], 0);
        }
    };
}

callbacks! {
    truth proxy_on_vm_start(context_id, configuration_size);
    truth proxy_on_configure(context_id, configuration_size);
    event proxy_on_context_create(context_id, parent_context_id);
    truth proxy_on_done(context_id);
    event proxy_on_log(context_id);
    event proxy_on_delete(context_id);
    event proxy_on_tick(context_id);
    event proxy_on_queue_ready(context_id, queue_id);

    action proxy_on_new_connection(context_id);
    action proxy_on_downstream_data(context_id, size, end_of_stream);
    event proxy_on_downstream_connection_close(context_id, peer_type);
    action proxy_on_upstream_data(context_id, size, end_of_stream);
    event proxy_on_upstream_connection_close(context_id, peer_type);

    #[cfg(feature = "abi-0-1-0")]
    action proxy_on_request_headers(context_id, count);
    #[cfg(not(feature = "abi-0-1-0"))]
    action proxy_on_request_headers(context_id, count, end_of_stream);
    action proxy_on_request_body(context_id, size, end_of_stream);
    action proxy_on_request_trailers(context_id, count);
    #[cfg(feature = "abi-0-1-0")]
    action proxy_on_response_headers(context_id, count);
    #[cfg(not(feature = "abi-0-1-0"))]
    action proxy_on_response_headers(context_id, count, end_of_stream);
    action proxy_on_response_body(context_id, size, end_of_stream);
    action proxy_on_response_trailers(context_id, count);

    event proxy_on_http_call_response(context_id, call_id, headers, body_size, trailers);
    event proxy_on_grpc_receive_initial_metadata(context_id, call_id, count);
    event proxy_on_grpc_receive(context_id, call_id, size);
    event proxy_on_grpc_receive_trailing_metadata(context_id, call_id, count);
    event proxy_on_grpc_close(context_id, call_id, status);
    #[cfg(feature = "abi-0-2-100")]
    event proxy_on_redis_call_response(context_id, call_id, status, size);
    #[cfg(not(feature = "abi-0-1-0"))]
    event proxy_on_foreign_function(context_id, function_id, size);
}
