use super::Answer;
use crate::abi::foreign;
use crate::abi::vm::Vm;

/// `proxy_call_foreign_function` (all versions).
///
/// `NotFound` for a function that the host does not have, `InvalidMemoryAccess` for a pointer outside memory. A null pointer for
/// the results means that the plugin does not want them.
pub fn proxy_call_foreign_function(
    vm: &mut Vm<'_>,
    name_data: u32,
    name_size: u32,
    arguments_data: u32,
    arguments_size: u32,
    return_results_data: u32,
    return_results_size: u32,
) -> Answer {
    let function = foreign::find(vm.read(name_data, name_size)?)?;
    let arguments = vm.read(arguments_data, arguments_size)?.to_vec();
    if return_results_data == 0 && return_results_size == 0 {
        return function(vm.state(), &arguments, &mut Vec::new());
    }
    vm.give_filled(return_results_data, return_results_size, |vm, results| {
        function(vm.state(), &arguments, results)
    })
}
