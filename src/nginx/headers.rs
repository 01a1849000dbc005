//! A list of headers.

/// Headers in one buffer; names are lower case.
#[derive(Debug, Default)]
pub struct HeaderList {
    bytes: Vec<u8>,
    entries: Vec<Entry>,
}

/// Where a name begins, where its value does, and where that ends.
#[derive(Clone, Copy, Debug)]
struct Entry {
    name: usize,
    value: usize,
    end: usize,
}

impl Entry {
    fn has_name(self, bytes: &[u8], name: &[u8]) -> bool {
        let own = &bytes[self.name..self.value];
        own.len() == name.len() && (own == name || own.eq_ignore_ascii_case(name))
    }
}

impl HeaderList {
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.entries.clear();
    }

    /// Gives back room that only an unusual list needs.
    pub fn shrink(&mut self) {
        const MOST_BYTES: usize = 16 * 1024;
        if self.bytes.capacity() > MOST_BYTES || self.entries.capacity() > MOST_BYTES / 64 {
            *self = Self::default();
        }
    }

    pub fn push(&mut self, name: &[u8], value: &[u8]) {
        let start = self.bytes.len();
        let entry = Entry {
            name: start,
            value: start + name.len(),
            end: start + name.len() + value.len(),
        };
        self.bytes.reserve(name.len() + value.len());
        self.bytes.extend_from_slice(name);
        self.bytes[start..].make_ascii_lowercase();
        self.bytes.extend_from_slice(value);
        self.entries.push(entry);
    }

    /// Removes all headers of a name. Their bytes stay until [`HeaderList::clear`].
    pub fn remove(&mut self, name: &[u8]) {
        let bytes = &self.bytes;
        self.entries.retain(|entry| !entry.has_name(bytes, name));
    }

    pub fn get(&self, name: &[u8]) -> Option<&[u8]> {
        let mut entries = self.entries.iter();
        let found = entries.find(|entry| entry.has_name(&self.bytes, name))?;
        Some(&self.bytes[found.value..found.end])
    }

    /// How many values a header has.
    pub fn count(&self, name: &[u8]) -> usize {
        let entries = self.entries.iter();
        entries
            .filter(|entry| entry.has_name(&self.bytes, name))
            .count()
    }

    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.entries.iter().map(|entry| {
            (
                &self.bytes[entry.name..entry.value],
                &self.bytes[entry.value..entry.end],
            )
        })
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list() {
        let mut list = HeaderList::default();
        list.push(b"Set-Cookie", b"a=1");
        list.push(b"X-B", b"");
        list.push(b"set-cookie", b"b=2");
        assert_eq!(list.len(), 3);
        assert_eq!(list.get(b"SET-cookie"), Some(&b"a=1"[..]));
        assert_eq!(list.get(b"x-b"), Some(&b""[..]));
        list.remove(b"set-COOKIE");
        let all: Vec<_> = list.iter().collect();
        assert_eq!(all, [(&b"x-b"[..], &b""[..])]);
        list.clear();
        assert_eq!(list.len(), 0);
    }
}
