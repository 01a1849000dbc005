use std::rc::Rc;

use super::{FakeHost, FakeStream};
use crate::abi::contexts::RootContext;
use crate::abi::types::{AbiVersion, Status};
use crate::abi::vm::{Bounds, PluginInfo, Rate, VmState};
use crate::abi::{imports, wasi};
use crate::engine::{Func, Guest, Trap};

/// A plugin named `test`, of ABI 0.2.1.
pub fn plugin_info() -> PluginInfo {
    PluginInfo {
        name: "test".into(),
        root_id: b"root".to_vec(),
        vm_id: b"vm".to_vec(),
        vm_config: b"vm config".to_vec(),
        env: Vec::new(),
        abi: AbiVersion::V0_2_1,
        bounds: Bounds::default(),
        rate: Rate::default(),
    }
}

/// A guest with 256 KiB of memory and an allocator that never frees.
pub struct FakeGuest {
    pub memory: Vec<u8>,
    pub state: VmState,
    /// What `state.host` is.
    pub host: Rc<FakeHost>,
    /// The stream of the effective context, after [`FakeGuest::with_stream`].
    pub stream: Rc<FakeStream>,
    /// The arguments of every call into the guest.
    pub calls: Vec<Vec<u64>>,
    /// Where calls into the guest return this instead of memory.
    pub allocates: Option<u64>,
    next: usize,
}

impl FakeGuest {
    /// A guest in a plugin context, whose configuration is `config`.
    pub fn new() -> Self {
        let host = Rc::new(FakeHost::default());
        let mut state = VmState::new(Rc::new(plugin_info()), Rc::<FakeHost>::clone(&host), 3);
        state.allocator = Some(Func::fake(1));
        state.current = state.contexts.insert_root(RootContext {
            config: b"config".as_slice().into(),
            tick_period: 0,
            has_queue: false,
            serial: 7,
        });
        Self {
            memory: vec![0; 256 * 1024],
            state,
            host,
            stream: Rc::default(),
            calls: Vec::new(),
            allocates: None,
            next: 1024,
        }
    }

    /// A guest in a stream context, of [`FakeGuest::stream`].
    pub fn with_stream() -> Self {
        let mut guest = Self::new();
        let stream = Rc::<FakeStream>::clone(&guest.stream);
        let root_id = guest.state.current;
        guest.state.current = guest.state.contexts.insert_stream(root_id, stream);
        guest
    }

    /// Makes the plugin one of another ABI.
    pub fn set_abi(&mut self, abi: AbiVersion) {
        self.state.plugin = Rc::new(PluginInfo {
            abi,
            ..plugin_info()
        });
    }

    /// Zeroed memory of the guest's, as an argument.
    pub fn room(&mut self, size: u32) -> u64 {
        let at = self.next;
        // Numbers in memory are found by their address, so it had better be a round one.
        self.next = (at + size as usize).next_multiple_of(8);
        assert!(self.next <= self.memory.len(), "the fake guest is full");
        at as u64
    }

    /// Puts bytes into memory and gives their address.
    pub fn put(&mut self, bytes: &[u8]) -> u64 {
        let at = self.room(bytes.len() as u32);
        self.memory[at as usize..][..bytes.len()].copy_from_slice(bytes);
        at
    }

    pub fn bytes_at(&self, at: u64, size: u32) -> &[u8] {
        &self.memory[at as usize..][..size as usize]
    }

    pub fn u32_at(&self, at: u64) -> u32 {
        u32::from_le_bytes(self.bytes_at(at, 4).try_into().unwrap())
    }

    pub fn u64_at(&self, at: u64) -> u64 {
        u64::from_le_bytes(self.bytes_at(at, 8).try_into().unwrap())
    }

    /// The bytes behind the pointer and the size that a hostcall has written.
    pub fn given(&self, return_data: u64, return_size: u64) -> &[u8] {
        self.bytes_at(self.u32_at(return_data).into(), self.u32_at(return_size))
    }

    /// Calls the hostcall or the function of WASI with that name, as the plugin would.
    pub fn import(&mut self, name: &str, args: &[u64]) -> Result<u64, Trap> {
        let hostcalls = imports::HOSTCALLS.iter().map(|row| (row.name, row.call));
        let wasi = wasi::FUNCTIONS.iter().map(|row| (row.name, row.call));
        let (_, call) = hostcalls
            .chain(wasi)
            .find(|(known, _)| *known == name)
            .unwrap_or_else(|| panic!("nothing is called {name}"));
        call(self, args)
    }

    /// As [`FakeGuest::import`], for a hostcall that does not trap.
    pub fn status(&mut self, name: &str, args: &[u64]) -> Status {
        let number = self.import(name, args).unwrap_or_else(|t| panic!("{t}"));
        STATUSES
            .into_iter()
            .find(|status| *status as u64 == number)
            .unwrap_or_else(|| panic!("{name}: {number} is no status"))
    }

    /// Puts bytes into memory and gives their address and size, as two arguments.
    pub fn string(&mut self, bytes: &[u8]) -> [u64; 2] {
        [self.put(bytes), bytes.len() as u64]
    }

    /// Calls a hostcall with each of `args` whose place is in `places` made to lead out of memory. It has to answer
    /// [`Status::InvalidMemoryAccess`] and write nothing. The pieces that `args` name have 4 bytes at least.
    pub fn assert_bounds(
        &mut self,
        name: &str,
        args: &[u64],
        places: impl IntoIterator<Item = usize>,
    ) {
        let end = self.memory.len() as u64;
        let before = self.memory.clone();
        for place in places {
            for hostile in [end - 3, end, u64::from(u32::MAX) - 3, u64::from(u32::MAX)] {
                let mut args = args.to_vec();
                args[place] = hostile;
                let status = self.status(name, &args);
                assert_eq!(status, Status::InvalidMemoryAccess, "{name}{args:x?}");
                assert!(self.memory == before, "{name}{args:x?} has written");
            }
        }
    }
}

const STATUSES: [Status; 10] = [
    Status::Ok,
    Status::NotFound,
    Status::BadArgument,
    Status::SerializationFailure,
    Status::ParseFailure,
    Status::InvalidMemoryAccess,
    Status::Empty,
    Status::CasMismatch,
    Status::InternalFailure,
    Status::Unimplemented,
];

impl Guest<VmState> for FakeGuest {
    fn memory(&mut self) -> &mut [u8] {
        &mut self.memory
    }

    fn state(&mut self) -> &mut VmState {
        &mut self.state
    }

    fn split(&mut self) -> (&mut [u8], &mut VmState) {
        (&mut self.memory, &mut self.state)
    }

    /// Every function is the allocator.
    fn call(&mut self, func: Func, args: &[u64]) -> Result<u64, Trap> {
        assert_eq!(args.len(), usize::from(func.params));
        self.calls.push(args.to_vec());
        match self.allocates {
            Some(data) => Ok(data),
            None => Ok(self.room(args[0] as u32)),
        }
    }
}
