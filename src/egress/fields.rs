use hyper::HeaderMap;
use hyper::StatusCode;

use super::failure::Failure;
use crate::abi::host::Fields;

/// What a header line takes besides its name and its value: a colon, a space, and the line's end.
const LINE: usize = 4;

/// What a plugin sees of a response's headers: the status first, if any, then all lines.
pub fn fields(status: Option<StatusCode>, headers: &HeaderMap) -> Fields {
    let mut fields = Fields::with_capacity(headers.len() + 1);
    if let Some(status) = status {
        fields.push((b":status".to_vec(), status.as_str().into()));
    }
    for (name, value) in headers {
        fields.push((name.as_str().into(), value.as_bytes().to_vec()));
    }
    fields
}

pub fn check_size(headers: &HeaderMap, limit: usize) -> Result<(), Failure> {
    let size = |(name, value): (&hyper::header::HeaderName, &hyper::header::HeaderValue)| {
        name.as_str().len() + value.len() + LINE
    };
    if headers.iter().map(size).sum::<usize>() > limit {
        return Err(Failure::headers_too_large(limit));
    }
    Ok(())
}

/// A body that is being put together, of no more than a number of bytes.
pub struct Body {
    bytes: Vec<u8>,
    limit: usize,
}

/// What is set aside for a body in advance: its length is only the upstream's word.
const MAX_RESERVED: usize = 1024 * 1024;

impl Body {
    /// For a body that claims to have that many bytes.
    pub fn new(claimed: u64, limit: usize) -> Result<Self, Failure> {
        match usize::try_from(claimed) {
            Ok(claimed) if claimed <= limit => Ok(Self {
                bytes: Vec::with_capacity(claimed.min(MAX_RESERVED)),
                limit,
            }),
            _ => Err(Failure::body_too_large(limit)),
        }
    }

    pub fn add(&mut self, data: &[u8]) -> Result<(), Failure> {
        if data.len() > self.limit - self.bytes.len() {
            return Err(Failure::body_too_large(self.limit));
        }
        self.bytes.extend_from_slice(data);
        Ok(())
    }

    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}
