//! Request targets: what nginx makes of one, and back.

use memchr::memchr;

/// A new target for a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathChange {
    /// What `$uri` shall be: decoded, without dot segments. It may hold any byte but NUL, so `ngx.req.set_uri` has to
    /// be told that it is binary.
    pub path: Vec<u8>,
    /// What `$args` shall be: not decoded, safe to send. `None` where the target has no query: the request then has
    /// none.
    pub args: Option<Vec<u8>>,
}

impl PathChange {
    /// What a request target asks for. `None` if it is none.
    pub fn parse(target: &[u8]) -> Option<Self> {
        if target == b"*" {
            return Some(Self {
                path: b"*".to_vec(),
                args: None,
            });
        }
        let (path, args) = split(target);
        Some(Self {
            path: normalize(path, false)?,
            args: args.map(escape_args),
        })
    }

    /// Whether nginx's `$uri` and `$args` are what was asked for.
    pub fn is(&self, uri: &[u8], args: &[u8]) -> bool {
        self.path == uri && self.args.as_deref().unwrap_or_default() == args
    }
}

/// What `$args` may be set to: nginx sends it as it is.
pub fn escape_args(args: &[u8]) -> Vec<u8> {
    escape(args, |b| b <= b' ' || b == 0x7f)
}

/// Leaves the path and the query of an absolute URI; any other target stays as it is. A URI with an empty path
/// gives an empty slice, or one that begins with `?`.
pub fn strip_origin(target: &[u8]) -> &[u8] {
    if target.first() == Some(&b'/') {
        return target;
    }
    let Some(scheme) = target.windows(3).position(|w| w == b"://") else {
        return target;
    };
    if !target[..scheme].iter().all(u8::is_ascii_alphanumeric) {
        return target;
    }
    let rest = &target[scheme + 3..];
    let path = rest.iter().position(|b| b"/?#".contains(b));
    &rest[path.unwrap_or(rest.len())..]
}

/// Whether nginx, given this target, would have these values for `$uri` and `$args`.
pub fn is_target_of(target: &[u8], uri: &[u8], args: &[u8]) -> bool {
    let (path, query) = split(target);
    query.unwrap_or_default() == args
        && (path == uri
            || normalize(path, true).is_some_and(|p| p == uri)
            || normalize(path, false).is_some_and(|p| p == uri))
}

/// Appends the target that stands for `$uri` and `$args`.
pub fn join(uri: &[u8], args: &[u8], target: &mut Vec<u8>) {
    target.extend(escape(uri, |b| {
        b <= b' ' || b >= 0x7f || matches!(b, b'#' | b'%' | b'?')
    }));
    if !args.is_empty() {
        target.push(b'?');
        target.extend_from_slice(args);
    }
}

/// The path and the query of a target, without the fragment.
fn split(target: &[u8]) -> (&[u8], Option<&[u8]>) {
    let end = memchr(b'#', target);
    let target = &target[..end.unwrap_or(target.len())];
    match memchr(b'?', target) {
        Some(at) => (&target[..at], Some(&target[at + 1..])),
        None => (target, None),
    }
}

/// Decodes a path and resolves its dot segments, as nginx does; `merge` is its directive `merge_slashes`. `None` if
/// it does not begin with a slash, leads above the root or has a NUL.
fn normalize(path: &[u8], merge: bool) -> Option<Vec<u8>> {
    if path.first() != Some(&b'/') {
        return None;
    }
    let path = decode(path);
    if path.contains(&0) {
        return None;
    }
    let mut segments = path[1..].split(|&b| b == b'/').peekable();
    let mut out = Vec::with_capacity(path.len());
    out.push(b'/');
    while let Some(segment) = segments.next() {
        let last = segments.peek().is_none();
        match segment {
            b"." => {}
            b".." => {
                out.pop();
                let parent = out.iter().rposition(|&b| b == b'/')?;
                out.truncate(parent + 1);
            }
            b"" if merge || last => {}
            _ => {
                out.extend_from_slice(segment);
                if !last {
                    out.push(b'/');
                }
            }
        }
    }
    Some(out)
}

/// Replaces `%HH`; anything else after a `%` stays as it is.
fn decode(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&byte, tail)) = rest.split_first() {
        let digits = tail.first().zip(tail.get(1));
        let decoded = digits.and_then(|(&a, &b)| Some((hex(a)? << 4) | hex(b)?));
        match decoded {
            Some(decoded) if byte == b'%' => {
                out.push(decoded);
                rest = &tail[2..];
            }
            _ => {
                out.push(byte);
                rest = tail;
            }
        }
    }
    out
}

fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

fn escape(text: &[u8], unsafe_byte: impl Fn(u8) -> bool) -> Vec<u8> {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let mut out = Vec::with_capacity(text.len());
    for &byte in text {
        if unsafe_byte(byte) {
            out.push(b'%');
            out.push(DIGITS[usize::from(byte >> 4)]);
            out.push(DIGITS[usize::from(byte & 15)]);
        } else {
            out.push(byte);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn normal(path: &str, merge: bool) -> Option<String> {
        normalize(path.as_bytes(), merge).map(|p| String::from_utf8_lossy(&p).into_owned())
    }

    #[test]
    fn paths_are_normalized_as_nginx_does() {
        for (path, merged, kept) in [
            ("/", "/", "/"),
            ("/a/b", "/a/b", "/a/b"),
            ("/a/", "/a/", "/a/"),
            ("/a//b", "/a/b", "/a//b"),
            ("//", "/", "//"),
            ("/a/./b/.", "/a/b/", "/a/b/"),
            ("/a/../b", "/b", "/b"),
            ("/a/b/..", "/a/", "/a/"),
            ("/a//../b", "/b", "/a/b"),
            ("/a%20b%2Fc", "/a b/c", "/a b/c"),
            ("/a/%2e%2E/b", "/b", "/b"),
            ("/100%", "/100%", "/100%"),
            ("/%zz%4", "/%zz%4", "/%zz%4"),
            ("/%2541", "/%41", "/%41"),
            ("/a/..b/...", "/a/..b/...", "/a/..b/..."),
        ] {
            assert_eq!(normal(path, true).as_deref(), Some(merged), "{path}");
            assert_eq!(normal(path, false).as_deref(), Some(kept), "{path}");
        }
        for path in ["", "a", "/..", "/a/../..", "/%00"] {
            assert_eq!(normal(path, true), None, "{path}");
        }
    }

    #[test]
    fn targets() {
        let change = |target: &str| PathChange::parse(target.as_bytes());
        let of = |path: &str, args: Option<&str>| {
            Some(PathChange {
                path: path.into(),
                args: args.map(Into::into),
            })
        };
        assert_eq!(
            change("/a%20b?x=%20&y=a b"),
            of("/a b", Some("x=%20&y=a%20b"))
        );
        assert_eq!(change("/a#f?x"), of("/a", None));
        assert_eq!(change("/a?x#f"), of("/a", Some("x")));
        assert_eq!(change("/a??"), of("/a", Some("?")));
        assert_eq!(change("/?"), of("/", Some("")));
        assert_eq!(change("*"), of("*", None));
        for target in ["", "a", "?x", "http://host/", "/../x"] {
            assert_eq!(change(target), None, "{target}");
        }
    }

    #[test]
    fn arguments_stay_in_the_request_line() {
        assert_eq!(
            escape_args(b"a=%20&b=c d\r\nx: y\0\x7f\xff"),
            b"a=%20&b=c%20d%0D%0Ax:%20y%00%7F\xff"
        );
    }

    #[test]
    fn origins() {
        for (target, stripped) in [
            ("/a", "/a"),
            ("/http://b/c", "/http://b/c"),
            ("http://b/c?d", "/c?d"),
            ("http://b", ""),
            ("http://b?d", "?d"),
            ("*", "*"),
        ] {
            assert_eq!(strip_origin(target.as_bytes()), stripped.as_bytes());
        }
    }

    #[test]
    fn a_target_is_known_again() {
        assert!(is_target_of(b"/a/b?c=d", b"/a/b", b"c=d"));
        assert!(is_target_of(b"/a//%62#f", b"/a/b", b""));
        assert!(is_target_of(b"/a//b", b"/a//b", b""));
        assert!(!is_target_of(b"/a?x", b"/b", b"x"));
        assert!(!is_target_of(b"/a?x", b"/a", b"y"));
    }

    #[test]
    fn a_target_is_made_again() {
        let mut target = Vec::new();
        join("/a b%?#ä".as_bytes(), b"x=%20", &mut target);
        assert_eq!(target, b"/a%20b%25%3F%23%C3%A4?x=%20");
        target.clear();
        join(b"/", b"", &mut target);
        assert_eq!(target, b"/");
    }
}
