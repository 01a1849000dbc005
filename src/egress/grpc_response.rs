use hyper::header::CONTENT_TYPE;
use hyper::{HeaderMap, StatusCode};

use super::failure::{
    Failure, INTERNAL, PERMISSION_DENIED, UNAUTHENTICATED, UNAVAILABLE, UNIMPLEMENTED, UNKNOWN,
};
use crate::abi::host::CallEvent;

/// How a call ended.
pub struct Status {
    pub status: u32,
    pub message: Vec<u8>,
    /// The upstream said so.
    pub answered: bool,
}

impl Status {
    /// As the end of a response tells.
    pub fn read(headers: &HeaderMap) -> Option<Self> {
        let status = headers.get("grpc-status")?;
        let message = headers.get("grpc-message");
        Some(Self {
            // A status that is no number is not one that gRPC knows.
            status: status
                .to_str()
                .ok()
                .and_then(|text| text.parse().ok())
                .unwrap_or(UNKNOWN),
            message: message.map_or_else(Vec::new, |message| unescaped(message.as_bytes())),
            answered: true,
        })
    }

    pub fn into_event(self) -> CallEvent {
        CallEvent::Closed {
            status: self.status,
            message: self.message,
            answered: self.answered,
        }
    }
}

impl From<Failure> for Status {
    fn from(failure: Failure) -> Self {
        Self {
            status: failure.status,
            message: failure.reason.into_bytes(),
            answered: false,
        }
    }
}

/// Fails for a response that cannot be one of gRPC, with what it means there.
pub fn check(status: StatusCode, headers: &HeaderMap) -> Result<(), Failure> {
    if status != StatusCode::OK {
        let reason = format!("HTTP status {}", status.as_u16());
        return Err(Failure::new(reason, meaning(status)));
    }
    let content_type = headers.get(CONTENT_TYPE).map_or(&b""[..], |v| v.as_bytes());
    if !content_type.starts_with(b"application/grpc") {
        let reason = format!(
            "content type {:?}, not gRPC's",
            String::from_utf8_lossy(content_type)
        );
        return Err(Failure::new(reason, UNKNOWN));
    }
    Ok(())
}

/// The gRPC status that stands for one of HTTP, as gRPC's documents have it.
fn meaning(status: StatusCode) -> u32 {
    match status.as_u16() {
        400 => INTERNAL,
        401 => UNAUTHENTICATED,
        403 => PERMISSION_DENIED,
        404 => UNIMPLEMENTED,
        429 | 502 | 503 | 504 => UNAVAILABLE,
        _ => UNKNOWN,
    }
}

/// Undoes percent-encoding. What is not well encoded stays as it is.
fn unescaped(text: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [first, tail @ ..] = rest {
        rest = tail;
        if let (b'%', [high, low, tail @ ..]) = (*first, tail)
            && let (Some(high), Some(low)) = (digit(*high), digit(*low))
        {
            bytes.push(high << 4 | low);
            rest = tail;
        } else {
            bytes.push(*first);
        }
    }
    bytes
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte)
        .to_digit(16)
        .and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_decoded() {
        let cases: [(&[u8], &[u8]); 5] = [
            (b"plain", b"plain"),
            (b"a%20b%C3%a9", "a b\u{e9}".as_bytes()),
            (b"100%", b"100%"),
            (b"%2", b"%2"),
            (b"%zz%%20", b"%zz% "),
        ];
        for (text, expected) in cases {
            assert_eq!(unescaped(text), expected);
        }
    }

    #[test]
    fn what_http_statuses_mean() {
        let cases = [
            (400, 13),
            (401, 16),
            (403, 7),
            (404, 12),
            (429, 14),
            (502, 14),
            (503, 14),
        ];
        for (http, grpc) in cases
            .into_iter()
            .chain([(504, 14), (500, 2), (302, 2), (204, 2)])
        {
            let failure = check(StatusCode::from_u16(http).unwrap(), &HeaderMap::new());
            assert_eq!(failure.unwrap_err().status, grpc);
        }
    }
}
