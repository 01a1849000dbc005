//! Runs a callback's lines.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use crate::answer::Answer;
use crate::arguments::{Arguments, parsed};
use crate::guest_memory;
use crate::hostcalls::{self, Hostcall};
use crate::parse::{self, Char, Line, Occasion, Script};
use crate::{show, wasi};

#[derive(Default)]
struct Context {
    root: u32,
    /// A root context's own lines, once it is configured.
    script: Option<Rc<Script>>,
    /// How often each callback was called.
    calls: BTreeMap<&'static str, u32>,
}

#[derive(Default)]
struct State {
    vm_script: Rc<Script>,
    contexts: BTreeMap<u32, Context>,
    latest_root: u32,
    latest_stream: u32,
    last: i64,
    value: Vec<u8>,
    labels: BTreeMap<String, Vec<u8>>,
    /// Which context made a call, by the kind of call and its id.
    callers: BTreeMap<(&'static str, u32), u32>,
    counts: BTreeMap<String, u32>,
    kept: Vec<Vec<u8>>,
}

thread_local! {
    /// Never borrowed during a hostcall: the host may call back.
    static STATE: RefCell<State> = RefCell::default();
}

/// Runs the lines for `name` on the context `args[0]`, and answers what they `return`, or `default`.
pub fn callback(name: &'static str, args: &[u32], default: u32) -> u32 {
    let id = args[0];
    match name {
        "on_context_create" => STATE.with_borrow_mut(|state| state.create(id, args[1])),
        "on_vm_start" => {
            let script = Rc::new(configuration(6, args[1]));
            STATE.with_borrow_mut(|state| state.vm_script = script);
        }
        "on_configure" => {
            let script = Rc::new(configuration(7, args[1]));
            STATE.with_borrow_mut(|state| state.configure(id, script));
        }
        _ => {}
    }

    let (script, nth) = STATE.with_borrow_mut(|state| state.enter(name, id));
    let occasion = Occasion {
        callback: name,
        nth,
        end_of_stream: end_of_stream(name, args),
    };
    let mut frame = Frame {
        callback: name,
        args,
        effective: id,
        returns: default,
    };
    for line in &script.lines {
        if !line.runs_in(&occasion, |label| frame.answers(label)) {
            continue;
        }
        if let Err(why) = frame.run(line) {
            show::error(&format!("{name} {}: {why}", line.command));
        }
    }

    if name == "on_delete" {
        STATE.with_borrow_mut(|state| state.contexts.remove(&id));
    }
    frame.returns
}

fn end_of_stream(callback: &str, args: &[u32]) -> Option<bool> {
    let has_it = ["_headers", "_body", "_data"]
        .iter()
        .any(|end| callback.ends_with(end));
    (has_it && args.len() == 3).then(|| args[2] != 0)
}

/// Reads the configuration in buffer `id` (ABI 0.1.0 has one hostcall for both) and complains about lines in it.
fn configuration(id: i64, size: u32) -> Script {
    let (name, inputs) = if cfg!(feature = "abi-0-1-0") {
        ("get_configuration", vec![])
    } else {
        ("get_buffer_bytes", vec![id, 0, size.into()])
    };
    if size == 0 {
        return Script::default();
    }
    let hostcall = hostcalls::find(name).expect("every ABI has it");
    let answer = Answer::of(hostcall, inputs).expect("as many as it takes");
    if answer.status != 0 {
        show::error(&format!(
            "script: {name} for the configuration -> {}",
            answer.status
        ));
    }
    let script = parse::script(answer.bytes().unwrap_or_default());
    for error in &script.errors {
        show::error(error);
    }
    script
}

impl State {
    fn create(&mut self, id: u32, parent: u32) {
        let root = if parent == 0 { id } else { parent };
        self.contexts.insert(
            id,
            Context {
                root,
                ..Context::default()
            },
        );
        if parent != 0 {
            self.latest_stream = id;
        }
    }

    fn configure(&mut self, id: u32, script: Rc<Script>) {
        self.contexts
            .entry(id)
            .or_insert_with(|| Context {
                root: id,
                ..Context::default()
            })
            .script = Some(script);
        self.latest_root = id;
    }

    fn enter(&mut self, callback: &'static str, id: u32) -> (Rc<Script>, u32) {
        let script = if callback == "on_vm_start" {
            None
        } else {
            self.script_of(id)
        };
        let calls = &mut self
            .contexts
            .entry(id)
            .or_insert_with(|| Context {
                root: id,
                ..Context::default()
            })
            .calls;
        let nth = calls.entry(callback).or_default();
        *nth += 1;
        (script.unwrap_or_else(|| self.vm_script.clone()), *nth)
    }

    fn script_of(&self, id: u32) -> Option<Rc<Script>> {
        let root = self
            .contexts
            .get(&id)
            .map_or(self.latest_root, |context| context.root);
        self.contexts.get(&root)?.script.clone()
    }
}

/// One run of a callback.
pub struct Frame<'a> {
    callback: &'static str,
    args: &'a [u32],
    effective: u32,
    returns: u32,
}

impl Frame<'_> {
    fn run(&mut self, line: &Line) -> Result<(), String> {
        let name = line.label.as_deref().unwrap_or(&line.command);
        let mut arguments = Arguments::new(self, line);
        let said = match line.command.as_str() {
            "return" => {
                let value = arguments.return_value()?;
                arguments.end()?;
                self.returns = value;
                return Ok(());
            }
            "args" => {
                let args: Vec<_> = self.args.iter().map(u32::to_string).collect();
                show::info(&format!("{} args: {}", self.callback, args.join(" ")));
                return Ok(());
            }
            "effective" => {
                let id = arguments.context()?;
                arguments.end()?;
                let hostcall =
                    hostcalls::find("set_effective_context").ok_or("no such hostcall")?;
                self.hostcall(hostcall, vec![id], line)?.show()
            }
            "resume" => match self.resume(line)? {
                0 => return Ok(()),
                status => format!("-> {status}"),
            },
            "raw" => {
                let wanted = arguments.text()?;
                let wanted = String::from_utf8_lossy(&wanted);
                let hostcall = hostcalls::find(&wanted).ok_or("no such hostcall")?;
                let status = hostcall.call(&arguments.numbers()?).map_err(wants)?;
                format!("{wanted} -> {status}")
            }
            "wasi" => {
                let wanted = arguments.text()?;
                let wanted = String::from_utf8_lossy(&wanted);
                let function = wasi::find(&wanted).ok_or("no such WASI function")?;
                let mut numbers = arguments.numbers()?;
                if numbers.is_empty() {
                    numbers = (function.defaults)(guest_memory::scratch() as i64);
                }
                format!("{wanted} -> {}", function.call(&numbers).map_err(wants)?)
            }
            "each_header" => {
                let map = arguments.number()?;
                arguments.end()?;
                let hostcall = hostcalls::find("get_header_map_pairs").ok_or("no such hostcall")?;
                let answer = self.hostcall(hostcall, vec![map], line)?;
                match show::deserialize(answer.bytes().unwrap_or_default()) {
                    Some(pairs) if answer.status == 0 => {
                        for (key, value) in pairs {
                            let (key, value) = (show::escaped(key), show::escaped(value));
                            show::info(&format!("{} header {key}={value}", self.callback));
                        }
                        return Ok(());
                    }
                    _ => answer.show(),
                }
            }
            "log" => {
                let hostcall = hostcalls::find("log").ok_or("no such hostcall")?;
                let (inputs, _held) = arguments.lower(hostcall)?;
                let status = hostcall.call(&inputs).map_err(wants)?;
                if status == 0 {
                    return Ok(());
                }
                format!("-> {status}")
            }
            "trap" => core::arch::wasm32::unreachable(),
            "panic" => panic!("{}", String::from_utf8_lossy(&arguments.rest()?)),
            "exit" => wasi::exit(arguments.number()? as u32),
            "loop" => loop {
                std::hint::black_box(());
            },
            "recurse" => format!("-> {}", recurse(0)),
            "alloc" => {
                let size = usize::try_from(arguments.number()?).map_err(|_| "a size expected")?;
                let mut piece = Vec::new();
                if piece.try_reserve_exact(size).is_ok() {
                    piece.resize(size, 1u8);
                    STATE.with_borrow_mut(|state| state.kept.push(piece));
                    "-> ok".into()
                } else {
                    "-> failed".into()
                }
            }
            "grow" => {
                let pages = arguments.number()? as usize;
                format!("-> {}", core::arch::wasm32::memory_grow(0, pages) as isize)
            }
            "allocations" => format!("-> {}", guest_memory::outstanding()),
            "poke" => {
                let (at, bytes) = (arguments.scratch_offset(0)?, arguments.rest()?);
                if bytes.len() > guest_memory::SCRATCH_SIZE - at {
                    return Err("beyond the scratch memory".into());
                }
                // SAFETY: the range was just checked.
                unsafe {
                    guest_memory::scratch()
                        .add(at)
                        .copy_from(bytes.as_ptr(), bytes.len())
                };
                return Ok(());
            }
            "peek" => {
                let at = arguments.scratch_offset(0)?;
                let size = arguments.scratch_offset(at)?;
                show::quoted(&guest_memory::copy(
                    guest_memory::scratch() as usize + at,
                    size,
                ))
            }
            "stdout" => {
                println!("{}", String::from_utf8_lossy(&arguments.rest()?));
                return Ok(());
            }
            "stderr" => {
                eprintln!("{}", String::from_utf8_lossy(&arguments.rest()?));
                return Ok(());
            }
            "env" => {
                let wanted = arguments.text()?;
                let wanted = String::from_utf8_lossy(&wanted);
                match std::env::var_os(&*wanted) {
                    Some(value) => format!("{wanted} {}", show::quoted(value.as_encoded_bytes())),
                    None => format!("{wanted} unset"),
                }
            }
            "random" => random()?,
            "time" => time()?,
            "count" => {
                let what = String::from_utf8_lossy(&arguments.text()?).into_owned();
                let count = STATE.with_borrow_mut(|state| {
                    let count = state.counts.entry(what.clone()).or_default();
                    *count += 1;
                    *count
                });
                format!("{what} {count}")
            }
            wanted => {
                let hostcall = hostcalls::find(wanted).ok_or("no such hostcall")?;
                let (inputs, _held) = arguments.lower(hostcall)?;
                self.hostcall(hostcall, inputs, line)?.show()
            }
        };
        show::info(&format!("{} {name} {said}", self.callback));
        Ok(())
    }

    /// Lets the request that a call's callback is about go on. The status is the first that is not 0.
    fn resume(&mut self, line: &Line) -> Result<u32, String> {
        let caller = self.named("caller")?;
        let caller = parsed(&caller).ok_or("not a number")?;
        let (name, inputs) = if cfg!(feature = "abi-0-1-0") {
            ("continue_request", vec![])
        } else {
            ("continue_stream", vec![0])
        };
        for (name, inputs) in [
            ("set_effective_context", vec![caller]),
            (name, inputs),
            ("set_effective_context", vec![self.args[0].into()]),
        ] {
            let hostcall = hostcalls::find(name).ok_or("no such hostcall")?;
            let answer = self.hostcall(hostcall, inputs, line)?;
            if answer.status != 0 {
                return Ok(answer.status);
            }
        }
        Ok(0)
    }

    /// Makes a hostcall and keeps what it returned for `%last`, `%value`, `%LABEL` and `%caller`.
    fn hostcall(
        &mut self,
        hostcall: &Hostcall,
        inputs: Vec<i64>,
        line: &Line,
    ) -> Result<Answer, String> {
        let target = inputs.first().copied().unwrap_or_default() as u32;
        let answer = Answer::of(hostcall, inputs).map_err(wants)?;
        if answer.status != 0 {
            return Ok(answer);
        }
        if hostcall.name == "set_effective_context" {
            self.effective = target;
        }
        STATE.with_borrow_mut(|state| {
            let mut kept = None;
            if let Some(number) = answer.number() {
                state.last = number;
                kept = Some(number.to_string().into_bytes());
                if let Some(family) = family(hostcall.name) {
                    state
                        .callers
                        .insert((family, number as u32), self.effective);
                }
            }
            if let Some(bytes) = answer.bytes() {
                state.value = bytes.to_vec();
                kept = Some(bytes.to_vec());
            }
            if let (Some(label), Some(kept)) = (&line.label, kept) {
                state.labels.insert(label.clone(), kept);
            }
        });
        Ok(answer)
    }

    /// Whether this is the callback of the call whose id was kept as `label`.
    fn answers(&self, label: &str) -> bool {
        family(self.callback.trim_start_matches("on_")).is_some()
            && self.args.get(1).is_some_and(|id| {
                STATE.with_borrow(|state| {
                    state
                        .labels
                        .get(label)
                        .is_some_and(|kept| *kept == id.to_string().into_bytes())
                })
            })
    }

    /// What `%NAME` stands for.
    pub fn named(&self, name: &str) -> Result<Vec<u8>, String> {
        if let Ok(at) = name.parse::<usize>() {
            let arg = self
                .args
                .get(at)
                .ok_or_else(|| format!("{} has no %{at}", self.callback))?;
            return Ok(arg.to_string().into_bytes());
        }
        let number = STATE.with_borrow(|state| match name {
            "last" => Some(state.last),
            "self" => Some(self.args[0].into()),
            "root" => Some(
                state
                    .contexts
                    .get(&self.args[0])
                    .map_or(0, |context| context.root)
                    .into(),
            ),
            "stream" => Some(state.latest_stream.into()),
            "caller" => {
                let family = family(self.callback.trim_start_matches("on_"))?;
                Some((*state.callers.get(&(family, *self.args.get(1)?))?).into())
            }
            "scratch" => Some(guest_memory::scratch() as i64),
            "memory" => Some(guest_memory::size() as i64),
            _ => None,
        });
        if let Some(number) = number {
            return Ok(number.to_string().into_bytes());
        }
        STATE
            .with_borrow(|state| {
                if name == "value" {
                    Some(state.value.clone())
                } else {
                    state.labels.get(name).cloned()
                }
            })
            .ok_or_else(|| format!("%{name} is not known"))
    }

    pub fn expand(&self, word: &[Char]) -> Result<Vec<u8>, String> {
        match word.split_first() {
            Some((
                Char {
                    byte: b'%',
                    quoted: false,
                },
                name,
            )) => self.named(&String::from_utf8_lossy(&parse::bytes(name))),
            _ => Ok(parse::bytes(word)),
        }
    }

    pub fn number(&self, word: &[Char]) -> Result<i64, String> {
        let sign = word
            .iter()
            .rposition(|char| matches!(char.byte, b'+' | b'-'))
            .filter(|at| *at > 0);
        let (base, offset) = match sign {
            Some(at) if word[0].byte == b'%' => {
                let offset = word
                    .get(at + 1..)
                    .and_then(|rest| parsed(&parse::bytes(rest)));
                match (word[at].byte, offset) {
                    (b'+', Some(offset)) => (&word[..at], offset),
                    (_, Some(offset)) => (&word[..at], -offset),
                    (_, None) => (word, 0),
                }
            }
            _ => (word, 0),
        };
        let text = self.expand(base)?;
        parsed(&text)
            .and_then(|number| number.checked_add(offset))
            .ok_or_else(|| format!("not a number: {}", show::escaped(&text)))
    }
}

/// The kind of call that a hostcall makes, or that a callback answers.
fn family(name: &str) -> Option<&'static str> {
    ["http_call", "grpc", "redis_call"]
        .into_iter()
        .find(|family| name.starts_with(family))
}

fn wants(arity: usize) -> String {
    format!("takes {arity} parameters")
}

#[expect(unconditional_recursion, reason = "that is what it is for")]
fn recurse(depth: u32) -> u32 {
    std::hint::black_box(recurse(std::hint::black_box(depth) + 1)) + 1
}

fn random() -> Result<String, String> {
    let at = guest_memory::scratch();
    let errno = wasi::find("random_get").and_then(|function| function.call(&[at as i64, 8]).ok());
    if errno != Some(0) {
        return Err(format!("random_get -> {errno:?}"));
    }
    Ok(guest_memory::copy(at as usize, 8)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect())
}

fn time() -> Result<String, String> {
    use std::time::{Instant, SystemTime, UNIX_EPOCH};

    let (started, wasi) = (Instant::now(), SystemTime::now());
    let wasi = wasi
        .duration_since(UNIX_EPOCH)
        .map_err(|error| error.to_string())?
        .as_secs();
    let hostcall = hostcalls::find("get_current_time_nanoseconds").ok_or("no such hostcall")?;
    let answer = Answer::of(hostcall, vec![]).map_err(wants)?;
    let proxy = answer.number().unwrap_or_default() as u64 / 1_000_000_000;
    let year_2020 = 1_577_836_800;
    Ok(
        if wasi > year_2020 && proxy.abs_diff(wasi) < 10 && Instant::now() >= started {
            "ok".into()
        } else {
            format!(
                "bad: WASI {wasi}, proxy {proxy} with status {}",
                answer.status
            )
        },
    )
}
