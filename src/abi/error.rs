use super::host::{HeaderError, MetricError, PropertyError, QueueError, SharedDataError};
use super::types::Status;
use crate::engine::Trap;

/// How a hostcall ends other than well.
#[derive(Debug)]
pub enum HostcallError {
    /// The guest is told.
    Status(Status),
    /// The guest cannot go on.
    Trap(Trap),
}

impl From<Status> for HostcallError {
    fn from(status: Status) -> Self {
        Self::Status(status)
    }
}

impl From<Trap> for HostcallError {
    fn from(trap: Trap) -> Self {
        Self::Trap(trap)
    }
}

impl From<HeaderError> for HostcallError {
    fn from(error: HeaderError) -> Self {
        match error {
            HeaderError::Invalid | HeaderError::Sent | HeaderError::Refused => {
                Self::Status(Status::BadArgument)
            }
        }
    }
}

impl From<PropertyError> for HostcallError {
    fn from(error: PropertyError) -> Self {
        match error {
            PropertyError::Unknown | PropertyError::ReadOnly => Self::Status(Status::NotFound),
        }
    }
}

impl From<SharedDataError> for HostcallError {
    fn from(error: SharedDataError) -> Self {
        Self::Status(match error {
            SharedDataError::CasMismatch => Status::CasMismatch,
            SharedDataError::Full => Status::InternalFailure,
        })
    }
}

impl From<QueueError> for HostcallError {
    fn from(error: QueueError) -> Self {
        Self::Status(match error {
            QueueError::NotFound => Status::NotFound,
            QueueError::Empty => Status::Empty,
            QueueError::Full => Status::InternalFailure,
        })
    }
}

impl From<MetricError> for HostcallError {
    fn from(error: MetricError) -> Self {
        Self::Status(match error {
            MetricError::NotFound => Status::NotFound,
            MetricError::BadArgument => Status::BadArgument,
            MetricError::Full => Status::InternalFailure,
        })
    }
}
