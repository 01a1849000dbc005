//! Functions of the host that plugins call by name through `proxy_call_foreign_function`.

use super::error::HostcallError;
use super::types::Status;
use super::vm::VmState;

/// A foreign function: takes the arguments and appends its results.
type ForeignFunction = fn(&mut VmState, &[u8], &mut Vec<u8>) -> Result<(), HostcallError>;

/// All foreign functions by name.
const FUNCTIONS: &[(&str, ForeignFunction)] = &[("clear_route_cache", clear_route_cache)];

/// The foreign function of that name.
///
/// # Errors
/// [`Status::NotFound`].
pub fn find(name: &[u8]) -> Result<ForeignFunction, Status> {
    FUNCTIONS
        .iter()
        .find(|(known, _)| known.as_bytes() == name)
        .map(|(_, function)| *function)
        .ok_or(Status::NotFound)
}

/// Envoy's name for what 0.1.0 has as `proxy_clear_route_cache`.
fn clear_route_cache(
    state: &mut VmState,
    _arguments: &[u8],
    _results: &mut Vec<u8>,
) -> Result<(), HostcallError> {
    if let Some(context) = state.stream() {
        context.stream.clear_route_cache();
    }
    Ok(())
}
