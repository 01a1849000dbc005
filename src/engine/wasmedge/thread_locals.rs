//! WasmEdge's thread-local variables.
//!
//! Compiled code finds its executor and stack through them. WasmEdge 0.14 sets them when such code is entered, and does not
//! put them back when it is left: after a host function has called into the guest, as every one does that gives the guest
//! memory, the guest's own call goes on with the stack of one that is over. So they are put back here.

use std::cell::Cell;
use std::ffi::{c_int, c_void};
use std::mem::MaybeUninit;
use std::ptr;

use super::api::Api;

/// More than WasmEdge 0.14 has, which is 1 KiB.
const MOST: usize = 2048;

/// Where this thread's variables are: nowhere before it uses any.
#[derive(Clone, Copy)]
struct Block {
    start: *mut u8,
    size: usize,
}

thread_local! {
    static BLOCK: Cell<Option<Block>> = const { Cell::new(None) };
}

/// A copy of this thread's variables.
pub struct ThreadLocals {
    block: Block,
    copy: [MaybeUninit<u8>; MOST],
}

impl ThreadLocals {
    /// Whether they can be saved, without which compiled code cannot be used.
    pub fn are_known(api: &Api) -> bool {
        find(api).is_some_and(|block| block.size <= MOST)
    }

    /// Copies them. Only while compiled code of this thread is in a host function.
    pub fn save(api: &Api) -> Self {
        let block = BLOCK.get().unwrap_or_else(|| {
            let block = find(api).filter(|block| !block.start.is_null());
            let block = block.expect("compiled code has run on this thread, after `are_known`");
            BLOCK.set(Some(block));
            block
        });
        let mut copy = [MaybeUninit::uninit(); MOST];
        // SAFETY: the block is this thread's, as large and no larger than the copy; nobody else has it while this runs.
        unsafe {
            ptr::copy_nonoverlapping(block.start, copy.as_mut_ptr().cast(), block.size);
        }
        Self { block, copy }
    }

    /// Puts them back.
    pub fn restore(self) {
        // SAFETY: as in `save`. They are plain pointers and numbers, to objects of the call that goes on now.
        unsafe {
            ptr::copy_nonoverlapping(self.copy.as_ptr().cast(), self.block.start, self.block.size);
        }
    }
}

struct Search {
    /// Of a function in the library.
    address: usize,
    found: Option<Block>,
}

fn find(api: &Api) -> Option<Block> {
    let mut search = Search {
        address: api.WasmEdge_LogOff as usize,
        found: None,
    };
    // SAFETY: the callback is of the right type and gets the search.
    unsafe { libc::dl_iterate_phdr(Some(visit), (&raw mut search).cast()) };
    search.found
}

unsafe extern "C" fn visit(
    info: *mut libc::dl_phdr_info,
    _size: usize,
    search: *mut c_void,
) -> c_int {
    // SAFETY: the linker gives its record of a library and its headers; the search is that of `find`.
    let (info, search) = unsafe { (&*info, &mut *search.cast::<Search>()) };
    // SAFETY: as above.
    let headers =
        unsafe { std::slice::from_raw_parts(info.dlpi_phdr, usize::from(info.dlpi_phnum)) };
    let is_it = headers.iter().any(|header| {
        let start = info.dlpi_addr as usize + header.p_vaddr as usize;
        header.p_type == libc::PT_LOAD
            && (start..start + header.p_memsz as usize).contains(&search.address)
    });
    if !is_it {
        return 0;
    }
    if let Some(header) = headers.iter().find(|header| header.p_type == libc::PT_TLS) {
        search.found = Some(Block {
            start: info.dlpi_tls_data.cast(),
            size: header.p_memsz as usize,
        });
    }
    1
}
