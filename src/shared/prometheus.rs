//! Metrics as Prometheus reads them: its text exposition format, version 0.0.4.

use std::collections::{HashMap, HashSet};
use std::fmt::{self, Display};

/// What the names of a histogram's samples end with; its own name is taken as well.
const HISTOGRAM_SUFFIXES: [&str; 4] = ["", "_bucket", "_sum", "_count"];

/// One metric of one plugin.
pub struct Series<'a> {
    /// The plugin it is about, for the label `plugin`; `None` for what the host says of itself.
    pub plugin: Option<&'a [u8]>,
    pub name: Name<'a>,
    pub value: Value<'a>,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub enum Name<'a> {
    /// A name that is valid as it is.
    Host {
        name: &'static str,
        help: &'static str,
    },
    /// Any bytes.
    Plugin(&'a [u8]),
}

pub enum Value<'a> {
    Counter(u64),
    Gauge(i64),
    /// `counts[i]` samples are at most `bounds[i]` and above the bound before; the last count is for those above all
    /// bounds. What is shown is `bounds` and `sum` divided by `scale`.
    Histogram {
        bounds: &'a [f64],
        counts: &'a [u64],
        sum: u64,
        scale: f64,
    },
}

/// The text for all of `series`: the host's families first, then those of plugins, each in the order in which they
/// first appear.
///
/// Plugins that use the same name with the same type share a family. A family whose name an earlier one has, or whose
/// samples' names one has, gets the first of `_2`, `_3`… that makes it free; a series that is listed twice, too.
pub fn render(series: &[Series<'_>]) -> String {
    let mut families = families(series);
    families.sort_by_key(|family| matches!(family.source, Name::Plugin(_)));
    let mut names = Names::default();
    for family in &mut families {
        family.name = names.take(family.source.valid(), family.kind);
    }
    families.iter().map(Family::to_string).collect()
}

fn families<'a>(series: &'a [Series<'a>]) -> Vec<Family<'a>> {
    let mut families: Vec<Family<'a>> = Vec::new();
    let mut places = HashMap::new();
    let mut seen = HashMap::new();
    for Series {
        plugin,
        name,
        value,
    } in series
    {
        let kind = value.kind();
        // To Prometheus an empty label is the same as none.
        let label = match plugin {
            None | Some([]) => String::new(),
            Some(plugin) => format!("plugin=\"{}\"", escape(plugin, true)),
        };
        // The label, not the plugin, because two plugins' names may look the same once escaped.
        let times = seen.entry((name, kind, label.clone())).or_insert(0_u32);
        *times += 1;
        let place = *places.entry((name, kind, *times)).or_insert_with(|| {
            families.push(Family {
                source: *name,
                name: String::new(),
                kind,
                series: Vec::new(),
            });
            families.len() - 1
        });
        families[place].series.push((label, value));
    }
    families
}

/// Series under one name, each with another label.
struct Family<'a> {
    source: Name<'a>,
    name: String,
    kind: &'static str,
    series: Vec<(String, &'a Value<'a>)>,
}

impl Display for Family<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, kind, .. } = self;
        match self.source {
            Name::Host { help, .. } => {
                writeln!(f, "# HELP {name} {}", escape(help.as_bytes(), false))?;
            }
            Name::Plugin(raw) => {
                writeln!(f, "# HELP {name} \"{}\" of a plugin", escape(raw, false))?;
            }
        }
        writeln!(f, "# TYPE {name} {kind}")?;
        for (label, value) in &self.series {
            value.write(f, name, label)?;
        }
        Ok(())
    }
}

impl Value<'_> {
    fn kind(&self) -> &'static str {
        match self {
            Self::Counter(_) => "counter",
            Self::Gauge(_) => "gauge",
            Self::Histogram { .. } => "histogram",
        }
    }

    fn write(&self, f: &mut fmt::Formatter<'_>, name: &str, label: &str) -> fmt::Result {
        let labels = match label {
            "" => String::new(),
            _ => format!("{{{label}}}"),
        };
        match *self {
            Self::Counter(value) => writeln!(f, "{name}{labels} {value}"),
            Self::Gauge(value) => writeln!(f, "{name}{labels} {value}"),
            Self::Histogram {
                bounds,
                counts,
                sum,
                scale,
            } => {
                let separator = if label.is_empty() { "" } else { "," };
                let mut bucket = |le: &dyn Display, count| {
                    writeln!(f, "{name}_bucket{{{label}{separator}le=\"{le}\"}} {count}")
                };
                let mut below = 0_u64;
                for (bound, count) in bounds.iter().zip(counts) {
                    below = below.saturating_add(*count);
                    bucket(&(bound / scale), below)?;
                }
                let all = counts.iter().fold(0, |all: u64, n| all.saturating_add(*n));
                bucket(&"+Inf", all)?;
                writeln!(f, "{name}_sum{labels} {}", sum as f64 / scale)?;
                writeln!(f, "{name}_count{labels} {all}")
            }
        }
    }
}

impl Name<'_> {
    /// Letters, digits and `_`, not beginning with a digit. Prometheus leaves `:` to the names of rules.
    fn valid(self) -> String {
        let raw = match self {
            Self::Host { name, .. } => return name.to_owned(),
            Self::Plugin(raw) => String::from_utf8_lossy(raw),
        };
        let mut name = String::with_capacity(raw.len() + 1);
        if raw.is_empty() || raw.starts_with(|c: char| c.is_ascii_digit()) {
            name.push('_');
        }
        name.extend(raw.chars().map(|c| match c {
            'a'..='z' | 'A'..='Z' | '0'..='9' => c,
            _ => '_',
        }));
        name
    }
}

#[derive(Default)]
struct Names {
    taken: HashSet<String>,
    /// The last number tried, so that many families of one name are not each tried with all numbers.
    numbers: HashMap<(String, &'static str), u32>,
}

impl Names {
    fn take(&mut self, name: String, kind: &'static str) -> String {
        let suffixes = match kind {
            "histogram" => &HISTOGRAM_SUFFIXES[..],
            _ => &[""],
        };
        let number = self.numbers.entry((name.clone(), kind)).or_insert(0);
        loop {
            *number += 1;
            let name = match *number {
                1 => name.clone(),
                number => format!("{name}_{number}"),
            };
            let samples = suffixes.iter().map(|suffix| format!("{name}{suffix}"));
            if !samples.clone().any(|sample| self.taken.contains(&sample)) {
                self.taken.extend(samples);
                return name;
            }
        }
    }
}

/// `bytes` on one line, as the value of a label, or as a help text, where quotes stand for themselves.
fn escape(bytes: &[u8], quotes: bool) -> String {
    let mut text = String::with_capacity(bytes.len());
    for c in String::from_utf8_lossy(bytes).chars() {
        match c {
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            '"' if quotes => text.push_str("\\\""),
            _ if c.is_control() => text.push(char::REPLACEMENT_CHARACTER),
            _ => text.push(c),
        }
    }
    text
}

#[cfg(any(test, fuzzing))]
pub mod parser;
#[cfg(test)]
mod tests;
