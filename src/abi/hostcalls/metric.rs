use super::Answer;
use crate::abi::guest::Vm;
use crate::abi::host::MetricError;
use crate::abi::types::MetricType;

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
    let id = state.host.define_metric(kind, name);
    state.note_room("proxy_define_metric", id == Err(MetricError::Full));
    vm.write_u32(return_metric_id, id?)
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

#[cfg(test)]
mod tests {
    use crate::abi::testing::FakeGuest;
    use crate::abi::types::Status;

    const COUNTER: u64 = 0;
    const GAUGE: u64 = 1;
    const HISTOGRAM: u64 = 2;

    fn define(guest: &mut FakeGuest, kind: u64, name: &[u8]) -> (Status, u64) {
        let [data, size] = guest.string(name);
        let out = guest.room(4);
        let status = guest.status("proxy_define_metric", &[kind, data, size, out]);
        (status, guest.u32_at(out).into())
    }

    fn value(guest: &mut FakeGuest, id: u64) -> u64 {
        let out = guest.room(8);
        assert_eq!(guest.status("proxy_get_metric", &[id, out]), Status::Ok);
        guest.u64_at(out)
    }

    #[test]
    fn a_metric_is_recorded_incremented_and_read() {
        let mut guest = FakeGuest::new();
        let (status, id) = define(&mut guest, GAUGE, b"gauge");
        assert_eq!(status, Status::Ok);
        assert_eq!(define(&mut guest, GAUGE, b"gauge"), (Status::Ok, id));
        let large = 1 << 40;
        let status = guest.status("proxy_record_metric", &[id, large]);
        assert_eq!(status, Status::Ok);
        assert_eq!(value(&mut guest, id), large);
        let minus_one = (-1_i64).cast_unsigned();
        let status = guest.status("proxy_increment_metric", &[id, minus_one]);
        assert_eq!(status, Status::Ok);
        assert_eq!(value(&mut guest, id), large - 1);
    }

    #[test]
    fn an_unknown_type_or_a_taken_name_is_a_bad_argument() {
        let mut guest = FakeGuest::new();
        assert_eq!(define(&mut guest, 3, b"name"), (Status::BadArgument, 0));
        assert_eq!(define(&mut guest, COUNTER, b"name").0, Status::Ok);
        assert_eq!(define(&mut guest, GAUGE, b"name"), (Status::BadArgument, 0));
    }

    #[test]
    fn too_many_metrics_are_a_failure() {
        let mut guest = FakeGuest::new();
        guest.host.full.set(true);
        let answer = define(&mut guest, COUNTER, b"name");
        assert_eq!(answer, (Status::InternalFailure, 0));
    }

    #[test]
    fn a_delta_that_cannot_be_applied_is_a_bad_argument() {
        let mut guest = FakeGuest::new();
        let minus_one = (-1_i64).cast_unsigned();
        for (kind, delta) in [(COUNTER, minus_one), (HISTOGRAM, 1)] {
            let (_, id) = define(&mut guest, kind, &[kind as u8]);
            let status = guest.status("proxy_increment_metric", &[id, delta]);
            assert_eq!(status, Status::BadArgument);
            assert_eq!(value(&mut guest, id), 0);
        }
    }

    #[test]
    fn a_metric_that_is_not_there_is_not_found() {
        let mut guest = FakeGuest::new();
        let out = guest.put(&[0xee; 8]);
        for id in [0, 1, 0xffff_ffff] {
            for (name, argument) in [
                ("proxy_record_metric", 1),
                ("proxy_increment_metric", 1),
                ("proxy_get_metric", out),
            ] {
                assert_eq!(guest.status(name, &[id, argument]), Status::NotFound);
            }
        }
        assert_eq!(guest.bytes_at(out, 8), [0xee; 8]);
    }

    #[test]
    fn pointers_are_checked() {
        let mut guest = FakeGuest::new();
        let [data, size] = guest.string(b"name");
        let out = guest.room(8);
        guest.assert_bounds("proxy_define_metric", &[COUNTER, data, size, out], 1..4);
        let (_, id) = define(&mut guest, COUNTER, b"another");
        assert_eq!(id, 1, "a hostile pointer has defined a metric");
        guest.assert_bounds("proxy_get_metric", &[id, out], [1]);
    }
}
