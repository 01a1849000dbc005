//! The documents name what there is, all of it and nothing else.

use std::collections::BTreeMap;

use resty_proxy_wasm::abi::Callbacks;
use resty_proxy_wasm::abi::imports::{HOSTCALLS, Hostcall};
use resty_proxy_wasm::abi::types::AbiVersion;
use resty_proxy_wasm::abi::wasi;
use resty_proxy_wasm::nginx::{ATTRIBUTES, Directive, Source};

const ABI: &str = include_str!("../docs/abi.md");
const CALLS: &str = include_str!("../docs/calls.md");
const PROPERTIES: &str = include_str!("../docs/properties.md");
const README: &str = include_str!("../README.md");

/// What follows a heading, until the next one of that level or above.
fn section<'a>(text: &'a str, heading: &str) -> &'a str {
    let (_, rest) = text
        .split_once(&format!("\n{heading}\n"))
        .unwrap_or_else(|| panic!("no section {heading}"));
    let level = heading.bytes().take_while(|b| *b == b'#').count();
    let end = (1..=level)
        .filter_map(|level| rest.find(&format!("\n{} ", "#".repeat(level))))
        .min();
    &rest[..end.unwrap_or(rest.len())]
}

/// The other cells of each row whose first cell is one name in backticks that `wanted` takes, by that name.
fn rows(text: &str, wanted: impl Fn(&str) -> bool) -> BTreeMap<&str, Vec<&str>> {
    let mut rows = BTreeMap::new();
    for line in text.lines() {
        let Some(line) = line.strip_prefix("| `") else {
            continue;
        };
        let Some((name, cells)) = line.split_once("` | ") else {
            continue;
        };
        if wanted(name) {
            let cells = cells.split('|').map(str::trim).collect();
            assert!(rows.insert(name, cells).is_none(), "{name} is there twice");
        }
    }
    rows
}

/// Compares names, and says which are on one side only.
fn assert_same<'a>(documented: impl Iterator<Item = &'a str>, real: impl Iterator<Item = &'a str>) {
    let mut documented: Vec<&str> = documented.collect();
    let mut real: Vec<&str> = real.collect();
    documented.sort_unstable();
    real.sort_unstable();
    let missing: Vec<_> = real.iter().filter(|n| !documented.contains(n)).collect();
    let invented: Vec<_> = documented.iter().filter(|n| !real.contains(n)).collect();
    assert!(
        missing.is_empty() && invented.is_empty(),
        "not documented: {missing:?}; documented and not there: {invented:?}"
    );
}

fn versions(row: &Hostcall) -> String {
    match row.versions {
        (AbiVersion::V0_1_0, AbiVersion::V0_2_100) => "all".to_owned(),
        (from, AbiVersion::V0_2_100) if from != AbiVersion::V0_2_100 => {
            format!("from {}", from.as_str())
        }
        (from, to) if from == to => from.as_str().to_owned(),
        (from, to) => format!("{} to {}", from.as_str(), to.as_str()),
    }
}

#[test]
fn every_hostcall_has_a_row_with_its_versions() {
    let documented = rows(section(ABI, "## Hostcalls"), |n| n.starts_with("proxy_"));
    assert_same(
        documented.keys().copied(),
        HOSTCALLS.iter().map(|row| row.name),
    );
    for row in HOSTCALLS {
        assert_eq!(documented[row.name][0], versions(row), "{}", row.name);
    }
}

#[test]
fn every_callback_has_a_row_and_those_never_called_are_so() {
    let callbacks = section(ABI, "## Callbacks");
    let (called, never) = callbacks.split_once("These are never called").unwrap();
    let called = rows(called, |n| n.starts_with("proxy_on_"));
    assert_same(called.keys().copied(), Callbacks::NAMES.iter().copied());
    for name in rows(never, |n| n.starts_with("proxy_on_")).keys() {
        assert!(!Callbacks::NAMES.contains(name), "{name} is called");
    }
}

#[test]
fn every_function_of_wasi_has_a_row() {
    let documented = rows(section(ABI, "## WASI"), |_| true);
    assert_same(
        documented.keys().copied(),
        wasi::FUNCTIONS.iter().map(|row| row.name),
    );
}

#[test]
fn every_attribute_has_a_row_with_its_type_and_variable() {
    let attributes = section(PROPERTIES, "## Attributes");
    let documented = rows(attributes, |n| !n.starts_with("plugin_"));
    assert_same(
        documented.keys().copied(),
        ATTRIBUTES.iter().map(|attribute| attribute.path),
    );
    for attribute in ATTRIBUTES {
        let cells = &documented[attribute.path];
        let kind = format!("{:?}", attribute.kind).to_lowercase();
        assert_eq!(cells[0], kind, "{}", attribute.path);
        let source = cells[1];
        let named = |text: String| {
            assert!(source.contains(&text), "{}: {text}", attribute.path);
        };
        match attribute.source {
            Source::Variable(name) => named(format!("`${name}`")),
            Source::Header(name) => named(format!("`{name}`")),
            Source::Constant(number) => named(format!("always {number}")),
            Source::Address(..)
            | Source::BodySize
            | Source::ClientVerified
            | Source::GrpcStatus
            | Source::Headers(_)
            | Source::LocalDetails
            | Source::Protocol
            | Source::Query
            | Source::RequestId
            | Source::StartTime
            | Source::Status
            | Source::UpstreamAddress
            | Source::UpstreamPort
            | Source::UrlPath => {}
        }
    }
}

#[test]
fn links_lead_to_a_heading() {
    for (text, link) in [
        (ABI, "#pausing"),
        (PROPERTIES, "abi.md#serialization-of-header-maps"),
    ] {
        assert!(text.contains(link));
        let (_, anchor) = link.split_once('#').unwrap();
        let found = ABI
            .lines()
            .filter_map(|line| line.strip_prefix('#'))
            .any(|h| {
                h.trim_start_matches('#')
                    .trim()
                    .to_lowercase()
                    .replace(' ', "-")
                    == anchor
            });
        assert!(found, "{link}");
    }
}

#[test]
fn every_directive_has_a_section_and_those_about_calls_a_row() {
    let directives = Directive::ALL.map(|directive| directive.name().to_str().unwrap());
    let headings = section(README, "## Directives").lines();
    assert_same(
        headings.filter_map(|line| line.strip_prefix("### ")),
        directives.into_iter(),
    );
    let documented = rows(section(CALLS, "## For operators"), |n| {
        n.starts_with("wasm_")
    });
    let about_calls = |name: &&str| name.starts_with("wasm_call_") || *name == "wasm_pause_timeout";
    assert_same(
        documented.keys().copied(),
        directives.into_iter().filter(about_calls),
    );
}
