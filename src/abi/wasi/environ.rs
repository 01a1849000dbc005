use std::rc::Rc;

use super::errno::{Answer, Errno};
use crate::abi::guest::Vm;

/// `args_sizes_get`: no arguments. `FAULT` for a pointer outside memory.
pub fn args_sizes_get(vm: &mut Vm<'_>, argc: u32, argv_buf_size: u32) -> Answer {
    write_sizes(vm, (argc, 0), (argv_buf_size, 0))
}

/// `environ_get`: the plugin's own variables, never those of the process. `FAULT` for a pointer outside memory.
pub fn environ_get(vm: &mut Vm<'_>, environ: u32, environ_buf: u32) -> Answer {
    let plugin = Rc::clone(&vm.state().plugin);
    let mut pointers = Vec::with_capacity(plugin.env.len() * 4);
    let mut strings = Vec::new();
    for (name, value) in &plugin.env {
        let pointer = environ_buf.wrapping_add(size(strings.len())?);
        pointers.extend_from_slice(&pointer.to_le_bytes());
        for part in [name.as_str(), "=", value, "\0"] {
            strings.extend_from_slice(part.as_bytes());
        }
    }
    vm.check(environ, size(pointers.len())?)?;
    vm.write(environ_buf, &strings)?;
    Ok(vm.write(environ, &pointers)?)
}

/// `environ_sizes_get`: how many variables there are and the room that they take. `FAULT` for a pointer outside memory.
pub fn environ_sizes_get(vm: &mut Vm<'_>, count: u32, buf_size: u32) -> Answer {
    let env = &vm.state().plugin.env;
    let variables = size(env.len())?;
    let bytes = size(env.iter().map(|(n, v)| n.len() + v.len() + 2).sum())?;
    write_sizes(vm, (count, variables), (buf_size, bytes))
}

fn write_sizes(vm: &mut Vm<'_>, first: (u32, u32), second: (u32, u32)) -> Answer {
    vm.check(second.0, 4)?;
    vm.write_u32(first.0, first.1)?;
    Ok(vm.write_u32(second.0, second.1)?)
}

fn size(size: usize) -> Result<u32, Errno> {
    u32::try_from(size).map_err(|_| Errno::Overflow)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::abi::testing::{FakeGuest, plugin_info};
    use crate::abi::vm::PluginInfo;

    fn guest(env: &[(&str, &str)]) -> FakeGuest {
        let mut guest = FakeGuest::new();
        guest.state.plugin = Rc::new(PluginInfo {
            env: env
                .iter()
                .map(|(n, v)| ((*n).into(), (*v).into()))
                .collect(),
            ..plugin_info()
        });
        guest
    }

    #[test]
    fn there_are_no_arguments() {
        let mut guest = guest(&[]);
        let out = guest.put(&[0xff; 8]);
        let answer = guest.import("args_sizes_get", &[out, out + 4]);
        assert_eq!(answer.unwrap(), 0);
        assert_eq!(guest.u64_at(out), 0);
        assert_eq!(guest.import("args_get", &[0, 0]).unwrap(), 0);
    }

    #[test]
    fn variables_are_the_plugins_own() {
        let mut guest = guest(&[("A", "1"), ("EMPTY", "")]);
        let sizes = guest.room(8);
        let answer = guest.import("environ_sizes_get", &[sizes, sizes + 4]);
        assert_eq!(answer.unwrap(), 0);
        assert_eq!(guest.u32_at(sizes), 2);
        assert_eq!(guest.u32_at(sizes + 4), 11);

        let pointers = guest.room(8);
        let strings = guest.room(11);
        let answer = guest.import("environ_get", &[pointers, strings]);
        assert_eq!(answer.unwrap(), 0);
        assert_eq!(u64::from(guest.u32_at(pointers)), strings);
        assert_eq!(u64::from(guest.u32_at(pointers + 4)), strings + 4);
        assert_eq!(guest.bytes_at(strings, 11), b"A=1\0EMPTY=\0");
    }

    #[test]
    fn nothing_is_written_where_a_pointer_is_outside_memory() {
        let mut guest = guest(&[("A", "1")]);
        let inside = guest.put(b"untouched");
        let outside = guest.memory.len() as u64 - 3;
        for name in ["args_sizes_get", "environ_sizes_get", "environ_get"] {
            for args in [[inside, outside], [outside, inside]] {
                let answer = guest.import(name, &args).unwrap();
                assert_eq!(answer, Errno::Fault as u64, "{name}");
                assert_eq!(guest.bytes_at(inside, 9), b"untouched");
            }
        }
    }
}
