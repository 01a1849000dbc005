use super::Answer;
use crate::abi::types::MetricType;
use crate::abi::vm::Vm;

/// `proxy_define_metric` (all versions).
///
/// `BadArgument` for an unknown type or a name taken by a metric of another type, `InternalFailure` where there are too many,
/// `InvalidMemoryAccess` for a pointer outside memory.
pub fn proxy_define_metric(
    vm: &mut Vm<'_>,
    metric_type: u32,
    name_data: u32,
    name_size: u32,
    return_metric_id: u32,
) -> Answer {
    let kind = MetricType::try_from(metric_type)?;
    vm.check(return_metric_id, 4)?;
    let (name, state) = vm.read_with_state(name_data, name_size)?;
    let id = state.host.define_metric(kind, name)?;
    vm.write_u32(return_metric_id, id)
}

/// `proxy_record_metric` (all versions).
///
/// `NotFound` for a metric that is not there.
pub fn proxy_record_metric(vm: &mut Vm<'_>, metric_id: u32, value: u64) -> Answer {
    Ok(vm.state().host.record_metric(metric_id, value)?)
}

/// `proxy_increment_metric` (all versions).
///
/// `NotFound` for a metric that is not there, `BadArgument` for a delta that cannot be applied.
pub fn proxy_increment_metric(vm: &mut Vm<'_>, metric_id: u32, delta: u64) -> Answer {
    Ok(vm
        .state()
        .host
        .increment_metric(metric_id, delta.cast_signed())?)
}

/// `proxy_get_metric` (all versions).
///
/// `NotFound` for a metric that is not there, `InvalidMemoryAccess` for a pointer outside memory.
pub fn proxy_get_metric(vm: &mut Vm<'_>, metric_id: u32, return_value: u32) -> Answer {
    let value = vm.state().host.get_metric(metric_id)?;
    vm.write_u64(return_value, value)
}
