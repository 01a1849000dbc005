//! The numbers of the Proxy-Wasm specification.

/// `proxy_status_t`: what a hostcall answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Status {
    Ok = 0,
    NotFound = 1,
    BadArgument = 2,
    SerializationFailure = 3,
    ParseFailure = 4,
    InvalidMemoryAccess = 6,
    Empty = 7,
    CasMismatch = 8,
    InternalFailure = 10,
    Unimplemented = 12,
}

const _: () = assert!(Status::NotFound as u32 == 1);
const _: () = assert!(Status::InvalidMemoryAccess as u32 == 6);
const _: () = assert!(Status::CasMismatch as u32 == 8);
const _: () = assert!(Status::Unimplemented as u32 == 12);

/// A plain enum over consecutive numbers of the specification, from zero, with a checked conversion.
macro_rules! spec_enum {
    ($(#[$doc:meta])* $name:ident { $($variant:ident = $value:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u32)]
        pub enum $name { $($variant = $value),+ }

        $(const _: () = assert!($name::$variant as u32 == $value);)+

        impl TryFrom<u32> for $name {
            type Error = Status;

            fn try_from(value: u32) -> Result<Self, Status> {
                match value {
                    $($value => Ok(Self::$variant),)+
                    _ => Err(Status::BadArgument),
                }
            }
        }
    };
}

spec_enum!(
    /// `proxy_log_level_t`.
    LogLevel { Trace = 0, Debug = 1, Info = 2, Warn = 3, Error = 4, Critical = 5 }
);

spec_enum!(
    /// `proxy_buffer_type_t`.
    BufferType {
        HttpRequestBody = 0,
        HttpResponseBody = 1,
        DownstreamData = 2,
        UpstreamData = 3,
        HttpCallResponseBody = 4,
        GrpcReceiveBuffer = 5,
        VmConfiguration = 6,
        PluginConfiguration = 7,
        ForeignFunctionArguments = 8,
    }
);

spec_enum!(
    /// `proxy_map_type_t`.
    MapType {
        HttpRequestHeaders = 0,
        HttpRequestTrailers = 1,
        HttpResponseHeaders = 2,
        HttpResponseTrailers = 3,
        GrpcCallInitialMetadata = 4,
        GrpcCallTrailingMetadata = 5,
        HttpCallResponseHeaders = 6,
        HttpCallResponseTrailers = 7,
    }
);

spec_enum!(
    /// `proxy_stream_type_t`.
    StreamType { HttpRequest = 0, HttpResponse = 1, Downstream = 2, Upstream = 3 }
);

spec_enum!(
    /// `proxy_metric_type_t`.
    MetricType { Counter = 0, Gauge = 1, Histogram = 2 }
);

/// The version of the ABI that a plugin was built for, from its `proxy_abi_version_*` marker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AbiVersion {
    V0_1_0,
    V0_2_0,
    V0_2_1,
    /// Higress: 0.2.1 with finer actions and functions of its own.
    V0_2_100,
}

impl AbiVersion {
    /// All versions with the export that marks each.
    pub const MARKERS: [(&'static str, Self); 4] = [
        ("proxy_abi_version_0_1_0", Self::V0_1_0),
        ("proxy_abi_version_0_2_0", Self::V0_2_0),
        ("proxy_abi_version_0_2_1", Self::V0_2_1),
        ("proxy_abi_version_0_2_100", Self::V0_2_100),
    ];

    /// The version as people write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::V0_1_0 => "0.1.0",
            Self::V0_2_0 => "0.2.0",
            Self::V0_2_1 => "0.2.1",
            Self::V0_2_100 => "0.2.100",
        }
    }
}
