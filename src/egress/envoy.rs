//! The message `envoy.config.core.v3.GrpcService`, which plugins written for Envoy name an upstream with.

use super::name::Upstream;

/// What there is of use in the message.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct GrpcService {
    pub name: String,
    pub authority: Option<String>,
    pub tls: bool,
    /// To be sent besides the call's own.
    pub metadata: Vec<(Vec<u8>, Vec<u8>)>,
}

/// Whether an upstream's name is such a message. No name begins with a byte like that of its first fields.
pub fn is_message(name: &[u8]) -> bool {
    name.first().is_some_and(|first| *first < b' ')
}

impl GrpcService {
    pub fn read(message: &[u8]) -> Option<Self> {
        let mut service = Self::default();
        for field in Fields(message) {
            match field? {
                (1, Value::Bytes(envoy)) => service.read_envoy(envoy)?,
                (2, Value::Bytes(google)) => service.read_google(google)?,
                (5, Value::Bytes(header)) => service.metadata.push(header_value(header)?),
                _ => {}
            }
        }
        (!service.name.is_empty()).then_some(service)
    }

    pub fn upstream(&self) -> Option<Upstream> {
        Upstream::parse(self.name.as_bytes())
    }

    fn read_envoy(&mut self, message: &[u8]) -> Option<()> {
        for field in Fields(message) {
            match field? {
                (1, Value::Bytes(cluster)) => self.name = text(cluster)?,
                (2, Value::Bytes(authority)) if !authority.is_empty() => {
                    self.authority = Some(text(authority)?);
                }
                _ => {}
            }
        }
        Some(())
    }

    fn read_google(&mut self, message: &[u8]) -> Option<()> {
        for field in Fields(message) {
            match field? {
                (1, Value::Bytes(uri)) => self.name = target_name(&text(uri)?).to_owned(),
                (2, Value::Bytes(credentials)) => {
                    for credential in Fields(credentials) {
                        // Those of a channel: 1 is SSL, 2 what Google takes by default, which is SSL too.
                        if let (1 | 2, Value::Bytes(_)) = credential? {
                            self.tls = true;
                        }
                    }
                }
                _ => {}
            }
        }
        Some(())
    }
}

/// A gRPC target without the scheme of the resolver, and without that resolver's own address.
fn target_name(uri: &str) -> &str {
    let Some(rest) = uri.strip_prefix("dns:") else {
        return uri;
    };
    match rest.strip_prefix("//") {
        Some(rest) => rest.split_once('/').map_or(rest, |(_, name)| name),
        None => rest,
    }
}

fn header_value(message: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let (mut name, mut value) = (&message[..0], &message[..0]);
    for field in Fields(message) {
        match field? {
            (1, Value::Bytes(bytes)) => name = bytes,
            (2 | 3, Value::Bytes(bytes)) if !bytes.is_empty() => value = bytes,
            _ => {}
        }
    }
    Some((name.to_vec(), value.to_vec()))
}

fn text(bytes: &[u8]) -> Option<String> {
    String::from_utf8(bytes.to_vec()).ok()
}

/// The fields of a protobuf message, each with its number. `None` is the last item of a malformed one.
struct Fields<'a>(&'a [u8]);

enum Value<'a> {
    Bytes(&'a [u8]),
    Other,
}

impl<'a> Fields<'a> {
    fn read(&mut self) -> Option<(u64, Value<'a>)> {
        let tag = self.varint()?;
        let value = match tag & 7 {
            0 => self.varint().map(|_| Value::Other)?,
            1 => self.take(8).map(|_| Value::Other)?,
            2 => {
                let length = usize::try_from(self.varint()?).ok()?;
                Value::Bytes(self.take(length)?)
            }
            5 => self.take(4).map(|_| Value::Other)?,
            _ => return None,
        };
        (tag >> 3 != 0).then_some((tag >> 3, value))
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..70).step_by(7) {
            let byte = u64::from(self.take(1)?[0]);
            value |= (byte & 0x7f).checked_shl(shift)?;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Option<(u64, Value<'a>)>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.read();
        if field.is_none() {
            self.0 = &[];
        }
        Some(field)
    }
}

#[cfg(test)]
mod tests {
    use super::{GrpcService, is_message};

    fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
        let mut field = vec![number << 3 | 2, u8::try_from(bytes.len()).unwrap()];
        field.extend_from_slice(bytes);
        field
    }

    #[test]
    fn envoy_grpc() {
        let header = [field(1, b"key"), field(2, b"value")].concat();
        let raw = [field(1, b"raw"), field(3, b"\xff")].concat();
        let message = [
            field(
                1,
                &[field(1, b"outbound|9090||svc"), field(2, b"auth")].concat(),
            ),
            field(3, &[0x08, 0x05]),
            field(5, &header),
            field(5, &raw),
        ]
        .concat();
        assert!(is_message(&message));
        let expected = GrpcService {
            name: "outbound|9090||svc".into(),
            authority: Some("auth".into()),
            tls: false,
            metadata: vec![
                (b"key".to_vec(), b"value".to_vec()),
                (b"raw".to_vec(), b"\xff".to_vec()),
            ],
        };
        assert_eq!(GrpcService::read(&message), Some(expected));
    }

    #[test]
    fn google_grpc() {
        for uri in ["svc:1", "dns:svc:1", "dns:///svc:1", "dns://8.8.8.8/svc:1"] {
            let google = [field(1, uri.as_bytes()), field(2, &field(1, b""))].concat();
            let service = GrpcService::read(&field(2, &google)).unwrap();
            assert_eq!((service.name.as_str(), service.tls), ("svc:1", true));
        }
        let service = GrpcService::read(&field(2, &field(1, b"svc"))).unwrap();
        assert!(!service.tls);
    }

    #[test]
    fn malformed() {
        let whole = field(1, &field(1, b"cluster"));
        for length in 0..whole.len() {
            assert_eq!(GrpcService::read(&whole[..length]), None);
        }
        let cases: [&[u8]; 7] = [
            b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
            b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\x7f",
            b"\x0b",
            b"\x02\x00",
            b"\x0a\x00",
            b"\x0a\x03\x0a\x01\xff",
            b"\x09\x00",
        ];
        for message in cases {
            assert_eq!(GrpcService::read(message), None, "{message:?}");
        }
    }

    #[test]
    fn any_bytes_are_survived() {
        let header = [field(1, b"key"), field(2, b"value")].concat();
        let whole = [
            field(1, &field(1, b"cluster")),
            field(2, &[field(1, b"dns:a"), field(2, &field(1, b""))].concat()),
            field(5, &header),
        ]
        .concat();
        let mut random = 0x2545_f491_4f6c_dd1d_u64;
        for _ in 0..20_000 {
            let mut message = whole.clone();
            for _ in 0..3 {
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                let [at, byte, ..] = random.to_le_bytes();
                let at = usize::from(at) % message.len();
                message[at] = byte;
            }
            let _ = GrpcService::read(&message);
        }
    }
}
