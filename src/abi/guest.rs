//! The guest as a hostcall sees it.

use super::error::HostcallError;
use super::types::Status;
use super::vm::VmState;
use crate::engine::{Guest, Trap};

/// What a VM keeps of its scratch memory.
const MAX_SCRATCH: usize = 64 * 1024;

/// The guest as one hostcall sees it. All access to guest memory is checked here.
pub struct Vm<'a> {
    guest: &'a mut dyn Guest<VmState>,
}

impl<'a> Vm<'a> {
    pub fn new(guest: &'a mut dyn Guest<VmState>) -> Self {
        Self { guest }
    }

    pub fn state(&mut self) -> &mut VmState {
        self.guest.state()
    }

    /// `size` bytes of guest memory at `data`.
    ///
    /// # Errors
    /// [`Status::InvalidMemoryAccess`] where not all of them lie in memory.
    pub fn read(&mut self, data: u32, size: u32) -> Result<&[u8], HostcallError> {
        slice(self.guest.memory(), data, size)
    }

    /// Guest memory and the state at once.
    ///
    /// # Errors
    /// As [`Vm::read`].
    pub fn read_with_state(
        &mut self,
        data: u32,
        size: u32,
    ) -> Result<(&[u8], &mut VmState), HostcallError> {
        let (memory, state) = self.guest.split();
        Ok((slice(memory, data, size)?, state))
    }

    /// Two pieces of guest memory and the state at once.
    ///
    /// # Errors
    /// As [`Vm::read`].
    pub fn read2_with_state(
        &mut self,
        first: (u32, u32),
        second: (u32, u32),
    ) -> Result<(&[u8], &[u8], &mut VmState), HostcallError> {
        let (memory, state) = self.guest.split();
        let memory = &*memory;
        Ok((
            slice(memory, first.0, first.1)?,
            slice(memory, second.0, second.1)?,
            state,
        ))
    }

    /// The whole of guest memory and the state, for hostcalls with many arguments; cut with [`slice()`].
    pub fn memory_and_state(&mut self) -> (&[u8], &mut VmState) {
        let (memory, state) = self.guest.split();
        (memory, state)
    }

    /// Writes bytes into guest memory.
    ///
    /// # Errors
    /// [`Status::InvalidMemoryAccess`] where they do not fit; then nothing is written.
    pub fn write(&mut self, data: u32, bytes: &[u8]) -> Result<(), HostcallError> {
        put(self.guest.memory(), data, bytes)
    }

    /// See [`Vm::write`].
    pub fn write_u32(&mut self, data: u32, value: u32) -> Result<(), HostcallError> {
        self.write(data, &value.to_le_bytes())
    }

    /// See [`Vm::write`].
    pub fn write_u64(&mut self, data: u32, value: u64) -> Result<(), HostcallError> {
        self.write(data, &value.to_le_bytes())
    }

    /// Fails unless `size` bytes at `data` lie in memory.
    ///
    /// # Errors
    /// As [`Vm::read`].
    pub fn check(&mut self, data: u32, size: u32) -> Result<(), HostcallError> {
        self.read(data, size).map(|_| ())
    }

    /// Hands a buffer of the VM's own to `fill` and then its content to the guest, see [`Vm::give`].
    ///
    /// # Errors
    /// What `fill` answers, else as [`Vm::give`].
    pub fn give_filled(
        &mut self,
        return_data: u32,
        return_size: u32,
        fill: impl FnOnce(&mut Self, &mut Vec<u8>) -> Result<(), HostcallError>,
    ) -> Result<(), HostcallError> {
        let (memory, state) = self.guest.split();
        slice(memory, return_data, 4)?;
        slice(memory, return_size, 4)?;
        let mut scratch = std::mem::take(&mut state.scratch);
        scratch.clear();
        let result =
            fill(self, &mut scratch).and_then(|()| self.give(return_data, return_size, &scratch));
        // One huge value must not hold its memory for the rest of the VM's life.
        if scratch.capacity() > MAX_SCRATCH {
            scratch = Vec::new();
        }
        self.guest.state().scratch = scratch;
        result
    }

    /// Copies bytes into memory that the guest's allocator gives and writes pointer and size to where the guest wants
    /// them. No bytes need no memory: the pointer is then 0.
    ///
    /// # Errors
    /// [`Status::InvalidMemoryAccess`] where a pointer is out of range, be it the guest's or its allocator's; a trap of the
    /// allocator.
    pub fn give(
        &mut self,
        return_data: u32,
        return_size: u32,
        bytes: &[u8],
    ) -> Result<(), HostcallError> {
        let size = u32::try_from(bytes.len()).map_err(|_| Status::InvalidMemoryAccess)?;
        let data = if size == 0 { 0 } else { self.allocate(size)? };
        let memory = self.guest.memory();
        if size > 0 {
            put(memory, data, bytes)?;
        }
        put(memory, return_data, &data.to_le_bytes())?;
        put(memory, return_size, &size.to_le_bytes())
    }

    fn allocate(&mut self, size: u32) -> Result<u32, HostcallError> {
        let Some(allocator) = self.guest.state().allocator else {
            return Err(Trap::new(
                "the plugin exports neither proxy_on_memory_allocate nor malloc",
            )
            .into());
        };
        let data = self.guest.call(allocator, &[u64::from(size)])? as u32;
        if data == 0 {
            return Err(Status::InvalidMemoryAccess.into());
        }
        Ok(data)
    }
}

/// `size` bytes of `memory` at `data`.
///
/// # Errors
/// [`Status::InvalidMemoryAccess`] where not all of them lie in memory.
pub fn slice(memory: &[u8], data: u32, size: u32) -> Result<&[u8], HostcallError> {
    let start = data as usize;
    memory
        .get(start..start + size as usize)
        .ok_or(HostcallError::Status(Status::InvalidMemoryAccess))
}

/// Copies bytes into memory, at `data`.
fn put(memory: &mut [u8], data: u32, bytes: &[u8]) -> Result<(), HostcallError> {
    let start = data as usize;
    start
        .checked_add(bytes.len())
        .and_then(|end| memory.get_mut(start..end))
        .ok_or(Status::InvalidMemoryAccess)?
        .copy_from_slice(bytes);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::abi::testing::FakeGuest;

    #[test]
    fn no_bytes_need_no_memory_but_a_place_inside_it() {
        let mut guest = FakeGuest::new();
        let end = guest.memory.len() as u32;
        let mut vm = Vm::new(&mut guest);
        assert_eq!(vm.read(end, 0).unwrap(), b"");
        assert!(vm.write(end, b"").is_ok());
        assert!(vm.read(end + 1, 0).is_err());
        assert!(vm.write(u32::MAX, b"").is_err());
    }

    #[test]
    fn one_huge_value_does_not_hold_its_memory() {
        let mut guest = FakeGuest::new();
        let out = guest.room(8) as u32;
        let answer = Vm::new(&mut guest).give_filled(out, out + 4, |_, value| {
            value.resize(128 * 1024, 1);
            Ok(())
        });
        assert!(answer.is_ok());
        assert!(guest.state.scratch.capacity() <= MAX_SCRATCH);
    }
}
