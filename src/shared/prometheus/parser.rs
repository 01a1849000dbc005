//! What Prometheus takes.

use std::collections::{HashMap, HashSet};

use crate::shared::prometheus::HISTOGRAM_SUFFIXES;

/// Fails if Prometheus would not take `text`, or if it does not hold so many series.
#[cfg(test)]
pub fn check(text: &str, series: usize) {
    assert_eq!(check_form(text), series);
}

/// Fails if Prometheus would not take `text`. Gives how many series it holds.
pub fn check_form(text: &str) -> usize {
    assert!(text.is_empty() || text.ends_with('\n'));
    assert!(!text.chars().any(|c| c.is_control() && c != '\n'));
    let mut families: HashMap<&str, &str> = HashMap::new();
    let mut seen = HashSet::new();
    let mut found = 0;
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let (family, help) = line
            .strip_prefix("# HELP ")
            .and_then(|rest| rest.split_once(' '))
            .unwrap_or_else(|| panic!("not the start of a family: {line}"));
        unescape(help, false);
        let kind = lines
            .next()
            .and_then(|line| line.strip_prefix("# TYPE ")?.strip_prefix(family))
            .and_then(|rest| rest.strip_prefix(' '))
            .unwrap_or_else(|| panic!("no type: {line}"));
        assert!(
            families.insert(family, kind).is_none(),
            "{family} comes twice"
        );
        let mut buckets: Vec<(f64, u64)> = Vec::new();
        while let Some(line) = lines.next_if(|line| !line.starts_with('#')) {
            let (name, labels, value) = sample(line);
            assert!(is_name(name), "{line}");
            assert!(seen.insert((name, labels.clone())), "{line} comes twice");
            let suffix = name.strip_prefix(family).expect(line);
            match (kind, suffix) {
                ("counter", "") => {
                    value.parse::<u64>().unwrap();
                    found += 1;
                }
                ("gauge", "") => {
                    value.parse::<i64>().unwrap();
                    found += 1;
                }
                ("histogram", "_bucket") => {
                    let le = labels.last().filter(|(label, _)| label == "le").unwrap();
                    // Rust reads +Inf too.
                    let next = (le.1.parse().unwrap(), value.parse().unwrap());
                    let last = buckets.last().copied().unwrap_or((f64::MIN, 0));
                    assert!(last.0 < next.0 && last.1 <= next.1, "{line}");
                    buckets.push(next);
                }
                ("histogram", "_sum") => {
                    value.parse::<f64>().unwrap();
                }
                ("histogram", "_count") => {
                    let (bound, all) = buckets.pop().unwrap();
                    assert!(bound.is_infinite());
                    assert_eq!(value.parse(), Ok(all));
                    buckets.clear();
                    found += 1;
                }
                _ => panic!("{line} in a {kind}"),
            }
        }
    }
    for family in families.keys() {
        for suffix in &HISTOGRAM_SUFFIXES[1..] {
            let of = family.strip_suffix(suffix).and_then(|of| families.get(of));
            assert_ne!(of, Some(&"histogram"), "{family} is a histogram's sample");
        }
    }
    found
}

type Labels = Vec<(String, String)>;

fn sample(line: &str) -> (&str, Labels, &str) {
    let end = line.find(['{', ' ']).unwrap();
    let (name, mut rest) = line.split_at(end);
    let mut labels = Vec::new();
    while let Some(label) = rest.strip_prefix(['{', ',']) {
        let (label, quoted) = label.split_once("=\"").unwrap();
        let (value, after) = unescape(quoted, true);
        labels.push((label.to_owned(), value));
        rest = after.strip_prefix('}').unwrap_or(after);
    }
    (name, labels, rest.strip_prefix(' ').unwrap())
}

/// What `text` stands for, up to the closing quote if there is one, and what comes after it.
fn unescape(text: &str, quotes: bool) -> (String, &str) {
    let mut value = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '"' if quotes => return (value, chars.as_str()),
            '\\' => value.push(match chars.next() {
                Some('\\') => '\\',
                Some('n') => '\n',
                Some('"') if quotes => '"',
                other => panic!("\\ before {other:?}"),
            }),
            _ => value.push(c),
        }
    }
    assert!(!quotes, "no closing quote");
    (value, "")
}

fn is_name(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}
