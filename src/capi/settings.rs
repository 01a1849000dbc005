//! What can be configured: what the directives say, else what `wasm.setup{}` says.

use std::fs::File;
use std::ops::RangeInclusive;
use std::os::raw::{c_char, c_int};
use std::path::{Path, PathBuf};
use std::time::Duration;

use parking_lot::Mutex;

use super::boundary::{bytes, fail, guard};
use super::engine;
use super::plugin::system_message;
use crate::abi::vm::Bounds;
use crate::egress::{self, Http2};
use crate::engine::cache::{self, Cache};
use crate::nginx::{self, Directive};
use crate::plugin::{Allowance, CrashLimit, Waiting};
use crate::shared::{DEFAULT_SIZE, Policy, SIZES};

/// What `proxy_wasm_setting` said, each directive at its own place.
type Set = [Option<String>; Directive::ALL.len()];

const NOTHING: Set = [const { None }; Directive::ALL.len()];

struct Sets {
    current: Set,
    /// In the configuration that is being read: should it be bad, the old one counts.
    next: Option<Set>,
}

static SETS: Mutex<Sets> = Mutex::new(Sets {
    current: NOTHING,
    next: None,
});

impl Sets {
    /// The set that counts now.
    fn now(&mut self) -> &mut Set {
        if nginx::is_reading() {
            return self.next.get_or_insert(NOTHING);
        }
        if !nginx::is_worker()
            && let Some(next) = self.next.take()
        {
            self.current = next;
        }
        &mut self.current
    }
}

/// What a directive can say.
enum Accepts {
    Engine,
    /// One of these words; the text lists them.
    Words(&'static [&'static str], &'static str),
    /// From a millisecond to an hour.
    Time,
    Size(RangeInclusive<u64>, &'static str),
    Count(RangeInclusive<u64>),
    /// A count, or none.
    CountOrOff(RangeInclusive<u64>),
    File,
    /// A folder that is there or can be made.
    Folder,
}

const SWITCH: Accepts = Accepts::Words(&["on", "off"], "on or off");

fn accepts(directive: Directive) -> Accepts {
    match directive {
        Directive::Vm => Accepts::Engine,
        Directive::Aot => Accepts::Words(&["auto", "on", "off"], "auto, on or off"),
        Directive::CachePath => Accepts::Folder,
        Directive::CacheSize => Accepts::Size(1 << 20..=64 << 30, "1m to 64g"),
        // From a page of WebAssembly's to all that 32 bits can address.
        Directive::MemoryLimit => Accepts::Size(64 << 10..=4 << 30, "64k to 4g"),
        Directive::MemoryRenew => Accepts::Size(64 << 10..=4 << 30, "64k to 4g"),
        Directive::Deadline
        | Directive::StartDeadline
        | Directive::CrashWindow
        | Directive::CallTimeout
        | Directive::PauseTimeout => Accepts::Time,
        Directive::InstanceLimit => Accepts::Count(1..=65536),
        Directive::StreamLimit | Directive::LogLimit => Accepts::Count(1..=1_000_000),
        Directive::CrashLimit => Accepts::CountOrOff(0..=1_000_000),
        Directive::BodyBufferSize => Accepts::Size(1 << 10..=1 << 30, "1k to 1g"),
        Directive::CallLimit => Accepts::Count(1..=65536),
        Directive::CallMaxHeaders => Accepts::Size(1 << 10..=1 << 20, "1k to 1m"),
        Directive::CallMaxBody => Accepts::Size(1 << 10..=1 << 30, "1k to 1g"),
        Directive::CallSslVerify | Directive::CallWait => SWITCH,
        Directive::CallSslTrustedCertificate => Accepts::File,
        Directive::ShmSize => {
            let (least, most) = SIZES.into_inner();
            Accepts::Size(least as u64..=most as u64, "1m to 4g")
        }
        Directive::ShmPolicy => Accepts::Words(&["lru", "none"], "lru or none"),
        Directive::CallHttp2 => Accepts::Words(&["auto", "on", "off"], "auto, on or off"),
    }
}

/// Whether a directive can say this.
pub fn check_directive(directive: Directive, word: &str) -> Result<(), String> {
    let wanted = match accepts(directive) {
        Accepts::Engine => return engine::check(word).map(|_| ()),
        Accepts::File | Accepts::Folder if !word.starts_with('/') => "a full path".to_owned(),
        kind @ (Accepts::File | Accepts::Folder) => {
            let tried = match kind {
                Accepts::Folder => cache::make(Path::new(word)),
                _ => File::open(word).map(|_| ()),
            };
            return tried.map_err(|error| {
                format!(
                    "bad {} \"{word}\": {}",
                    directive.name().to_string_lossy(),
                    system_message(&error)
                )
            });
        }
        Accepts::Words(words, _) if words.contains(&word) => return Ok(()),
        Accepts::Words(_, wanted) => wanted.to_owned(),
        Accepts::Time if time(word).is_some_and(|time| TIMES.contains(&time)) => return Ok(()),
        Accepts::Time => "a time from 1ms to 1h".to_owned(),
        Accepts::Size(range, _) if size(word).is_some_and(|size| range.contains(&size)) => {
            return Ok(());
        }
        Accepts::Size(_, wanted) => format!("a size from {wanted}"),
        Accepts::Count(range) if count(word).is_some_and(|count| range.contains(&count)) => {
            return Ok(());
        }
        Accepts::Count(range) => format!("a number from {} to {}", range.start(), range.end()),
        Accepts::CountOrOff(_) if word == OFF => return Ok(()),
        Accepts::CountOrOff(range) if count(word).is_some_and(|count| range.contains(&count)) => {
            return Ok(());
        }
        Accepts::CountOrOff(range) => {
            format!("off or a number from {} to {}", range.start(), range.end())
        }
    };
    Err(format!(
        "bad {} \"{word}\", it must be {wanted}",
        directive.name().to_string_lossy()
    ))
}

const TIMES: RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_secs(3600);

/// A time as nginx writes it: seconds, or with ms, s, m or h.
fn time(word: &str) -> Option<Duration> {
    let (count, unit) = number(word)?;
    let milliseconds = match unit {
        "ms" => 1,
        "" | "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return None,
    };
    count.checked_mul(milliseconds).map(Duration::from_millis)
}

/// A size as nginx writes it: bytes, or with k, m or g.
fn size(word: &str) -> Option<u64> {
    let (count, unit) = number(word)?;
    let shift = match unit.to_ascii_lowercase().as_str() {
        "" => 0,
        "k" => 10,
        "m" => 20,
        "g" => 30,
        _ => return None,
    };
    count.checked_mul(1 << shift)
}

fn count(word: &str) -> Option<u64> {
    word.parse().ok()
}

/// A number and the unit after it.
fn number(word: &str) -> Option<(u64, &str)> {
    let digits = word.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    Some((digits.parse().ok()?, &word[digits.len()..]))
}

/// What configuration says: the directive, else the setting.
pub fn said(directive: Directive) -> Option<String> {
    nginx::configured(directive).or_else(|| SETS.lock().now()[directive as usize].clone())
}

/// Where compiled code is kept by configuration.
pub fn cache() -> Option<Cache> {
    const DEFAULT_SIZE: u64 = 1 << 30;
    let path = said(Directive::CachePath)?;
    let size = said(Directive::CacheSize).and_then(|word| size(&word));
    Some(Cache::new(Path::new(&path), size.unwrap_or(DEFAULT_SIZE)))
}

/// No limit.
const OFF: &str = "off";

/// What one plugin says in the place of directives.
#[derive(Default)]
pub struct ForPlugin(Set);

/// What can be said for one plugin, named as the directive without this.
const PREFIX: &str = "wasm_";
const OF_PLUGINS: [Directive; 10] = [
    Directive::MemoryLimit,
    Directive::MemoryRenew,
    Directive::Deadline,
    Directive::StartDeadline,
    Directive::StreamLimit,
    Directive::BodyBufferSize,
    Directive::LogLimit,
    Directive::CrashLimit,
    Directive::CrashWindow,
    Directive::PauseTimeout,
];

impl ForPlugin {
    /// Takes an option of `load`. False where it is none of these.
    ///
    /// # Errors
    /// The word is not one that the directive takes; the text says so.
    pub fn set(&mut self, name: &[u8], word: &[u8]) -> Result<bool, String> {
        let is_meant = |directive: &Directive| {
            let full = directive.name().to_bytes();
            full.strip_prefix(PREFIX.as_bytes()) == Some(name)
        };
        let Some(directive) = OF_PLUGINS.into_iter().find(is_meant) else {
            return Ok(false);
        };
        let word = String::from_utf8_lossy(word);
        check_directive(directive, &word).map_err(|text| text.replacen(PREFIX, "", 1))?;
        self.0[directive as usize] = Some(word.into_owned());
        Ok(true)
    }

    fn said(&self, directive: Directive) -> Option<String> {
        self.0[directive as usize]
            .clone()
            .or_else(|| said(directive))
    }

    fn size(&self, directive: Directive) -> Option<u64> {
        self.said(directive).and_then(|word| size(&word))
    }

    fn time(&self, directive: Directive) -> Option<Duration> {
        self.said(directive).and_then(|word| time(&word))
    }

    fn count(&self, directive: Directive) -> Option<u64> {
        self.said(directive).and_then(|word| count(&word))
    }

    /// What each of its VMs may use.
    pub fn limits(&self) -> Allowance {
        let mut limits = Allowance::default();
        if let Some(memory) = self.size(Directive::MemoryLimit) {
            limits.vm.memory = memory;
        }
        if let Some(callback) = self.time(Directive::Deadline) {
            limits.callback = callback;
            // To start is more work, and done once.
            limits.vm.time = limits.vm.time.max(callback);
        }
        if let Some(start) = self.time(Directive::StartDeadline) {
            limits.vm.time = start;
        }
        if let Some(instances) = self.count(Directive::InstanceLimit) {
            limits.instances = instances as usize;
        }
        limits.renew = self.size(Directive::MemoryRenew);
        limits
    }

    /// What is kept for each of its VMs.
    pub fn bounds(&self) -> Bounds {
        let mut bounds = Bounds::default();
        if let Some(streams) = self.count(Directive::StreamLimit) {
            bounds.streams = streams as usize;
        }
        if let Some(body) = self.size(Directive::BodyBufferSize) {
            bounds.body = body as usize;
        }
        if let Some(records) = self.count(Directive::LogLimit) {
            bounds.records = records as u32;
        }
        bounds
    }

    /// How often it may crash.
    pub fn crashes(&self) -> CrashLimit {
        let mut limit = CrashLimit::default();
        if let Some(word) = self.said(Directive::CrashLimit) {
            limit.crashes = count(&word).map(|crashes| crashes as u32);
        }
        if let Some(window) = self.time(Directive::CrashWindow) {
            limit.window = window;
        }
        limit
    }

    /// When its requests wait.
    pub fn waiting(&self) -> Waiting {
        let mut waiting = Waiting::default();
        if let Some(word) = self.said(Directive::CallWait) {
            waiting.for_calls = word == "on";
        }
        if let Some(pause) = self.time(Directive::PauseTimeout) {
            waiting.pause = pause;
        }
        waiting
    }
}

/// How large the store is that workers share, in bytes, and what is done when it is full.
pub fn store() -> (usize, Policy) {
    let size = said(Directive::ShmSize).and_then(|word| size(&word));
    let policy = match said(Directive::ShmPolicy).as_deref() {
        Some("none") => Policy::None,
        _ => Policy::Lru,
    };
    (size.map_or(DEFAULT_SIZE, |size| size as usize), policy)
}

/// A configuration begins: what was set for another does not count.
pub fn forget() {
    SETS.lock().next = Some(NOTHING);
}

/// How calls are made by configuration.
pub fn calls() -> egress::Settings {
    let mut calls = egress::Settings::default();
    let bytes = |directive| said(directive).and_then(|word| size(&word));
    if let Some(limit) = said(Directive::CallLimit).and_then(|word| count(&word)) {
        calls.max_calls = limit as usize;
    }
    if let Some(timeout) = said(Directive::CallTimeout).and_then(|word| time(&word)) {
        calls.timeout = timeout;
    }
    if let Some(bytes) = bytes(Directive::CallMaxHeaders) {
        calls.max_headers = bytes as usize;
    }
    if let Some(bytes) = bytes(Directive::CallMaxBody) {
        calls.max_body = bytes as usize;
    }
    calls.verify = said(Directive::CallSslVerify).as_deref() != Some("off");
    calls.trusted = said(Directive::CallSslTrustedCertificate).map(PathBuf::from);
    calls.http2 = match said(Directive::CallHttp2).as_deref() {
        Some("on") => Http2::On,
        Some("off") => Http2::Off,
        _ => Http2::Auto,
    };
    calls
}

/// Says what a directive would, where there is none. `name` is the directive's, which README lists with what each can say.
///
/// Returns 0, or -1.
///
/// Errors: a directive or word that there is not, an engine that cannot be used, or a word other than the directive's own.
///
/// # Safety
/// `(name, name_len)` and `(word, word_len)` are strings; `errlen` points at the size of the writable buffer `errbuf`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn proxy_wasm_setting(
    name: *const c_char,
    name_len: usize,
    word: *const c_char,
    word_len: usize,
    errbuf: *mut c_char,
    errlen: *mut usize,
) -> c_int {
    guard(-1, || {
        // SAFETY: the caller says that they are strings.
        let (name, word) = unsafe {
            (
                String::from_utf8_lossy(bytes(name, name_len)),
                String::from_utf8_lossy(bytes(word, word_len)),
            )
        };
        match set(&name, &word) {
            Ok(()) => 0,
            // SAFETY: the caller says so of the error buffer.
            Err(text) => unsafe { fail(&text, errbuf, errlen) },
        }
    })
}

fn set(name: &str, word: &str) -> Result<(), String> {
    let directive = Directive::ALL
        .into_iter()
        .find(|directive| directive.name().to_bytes() == name.as_bytes())
        .ok_or_else(|| format!("unknown setting \"{name}\""))?;
    check_directive(directive, word)?;
    if let Some(configured) = nginx::configured(directive)
        && configured != word
    {
        return Err(format!(
            "\"{word}\" is not what the directive says: {name} {configured}"
        ));
    }
    SETS.lock().now()[directive as usize] = Some(word.to_owned());
    Ok(())
}
