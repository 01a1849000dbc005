//! Works on shared data, queues and metrics in loops, each within one callback. A request says in its header `x-do` what is done, and is
//! answered with what came of it:
//!
//! | `x-do` | does | answers |
//! |---|---|---|
//! | `cas KEY N` | adds 1 to the decimal number under KEY, by compare-and-swap, until it has N times | how often it had to try again |
//! | `churn PREFIX KEYS N SIZE` | sets one of KEYS keys to up to SIZE equal bytes, or removes it, N times; looks at it first | how many were no such bytes |
//! | `fill PREFIX N SIZE` | sets PREFIX`0`… to SIZE bytes | how many were taken |
//! | `set KEY VALUE [CAS]` | sets KEY | 1 |
//! | `get KEY` | | the value, with its number as the header `x-cas`; 404 without one |
//! | `add NAME N` | adds 1 to a counter, N times | its value |
//! | `gauge NAME DELTA N` | adds DELTA to a gauge, N times | its value |
//! | `sample NAME VALUE N` | records VALUE in a histogram, N times | the number of its samples |
//! | `metric NAME` | | the value of a counter |
//! | `define PREFIX N` | defines the counters PREFIX`0`… | how many |
//! | `enqueue QUEUE N` | adds the items `ID:1` to `ID:N`, where ID is the header `x-id` | how many were taken |
//! | `dequeue QUEUE N` | takes up to N items | each on a line |
//!
//! Where a hostcall's status ends the work early, ` status STATUS` follows; before it, the metrics say how many times it was done, and
//! `dequeue` has a last line of both. What cannot be understood is answered with 400. QUEUE may be VM_ID`/`NAME.
//!
//! The configuration lists queues to register. Each time one is ready, one item is taken and logged, and the counter `delivered` goes up;
//! `missed` does where there is none, `disordered` where an item's number is not above the last that came with its ID, if it has one. An item
//! with the ID `trap` is taken, and then it traps.

mod hostcalls;

use std::collections::HashMap;
use std::time::UNIX_EPOCH;

use hostcalls::{Answer, CAS_MISMATCH};
use proxy_wasm::hostcalls::{
    dequeue_shared_queue, get_current_time, get_metric, get_shared_data, increment_metric,
    record_metric, resolve_shared_queue,
};
use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{Action, ContextType, LogLevel, MetricType};

proxy_wasm::main! {{
    proxy_wasm::set_log_level(LogLevel::Info);
    proxy_wasm::set_root_context(|_| Box::<Root>::default());
}}

/// A number that hardly any key has, for one that is not there. 0 would write over what another worker has set since.
const NOT_THERE: u32 = u32::MAX;

#[derive(Default)]
struct Root {
    queues: HashMap<u32, Queue>,
    delivered: u32,
    missed: u32,
    disordered: u32,
}

struct Queue {
    name: String,
    /// The last number that came with an id.
    last: HashMap<String, u64>,
}

impl Context for Root {}

impl RootContext for Root {
    fn on_configure(&mut self, _: usize) -> bool {
        let text = self.get_plugin_configuration().unwrap_or_default();
        let names = String::from_utf8_lossy(&text).into_owned();
        match self.register(names.split_whitespace()) {
            Ok(()) => true,
            Err(status) => {
                log::error!("the queues {names} cannot be registered: status {status}");
                false
            }
        }
    }

    fn on_queue_ready(&mut self, id: u32) {
        let Some(queue) = self.queues.get_mut(&id) else {
            log::error!("told of queue {id}, which is not registered");
            return;
        };
        match dequeue_shared_queue(id) {
            Ok(Some(item)) => {
                let item = String::from_utf8_lossy(&item);
                if item.starts_with("trap:") {
                    std::process::abort();
                }
                log::info!("got {item} from {}", queue.name);
                count(self.delivered);
                if !queue.in_order(&item) {
                    log::warn!("{item} from {} is out of order", queue.name);
                    count(self.disordered);
                }
            }
            Ok(None) => {
                log::info!("got nothing from {}", queue.name);
                count(self.missed);
            }
            Err(status) => log::error!("cannot take from {}: {status:?}", queue.name),
        }
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }

    fn create_http_context(&self, _: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(Worker))
    }
}

impl Root {
    fn register<'a>(&mut self, names: impl Iterator<Item = &'a str>) -> Answer<()> {
        for name in names {
            let queue = Queue {
                name: name.into(),
                last: HashMap::new(),
            };
            self.queues
                .insert(hostcalls::register_shared_queue(name)?, queue);
        }
        if !self.queues.is_empty() {
            for (id, name) in [
                (&mut self.delivered, "delivered"),
                (&mut self.missed, "missed"),
                (&mut self.disordered, "disordered"),
            ] {
                *id = hostcalls::define_metric(MetricType::Counter, name)?;
            }
        }
        Ok(())
    }
}

impl Queue {
    fn in_order(&mut self, item: &str) -> bool {
        let (id, number) = item.rsplit_once(':').unwrap_or_default();
        if id.is_empty() {
            return true;
        }
        let number = number.parse().unwrap_or(0);
        let last = self.last.insert(id.into(), number);
        number > last.unwrap_or(0)
    }
}

fn count(metric: u32) {
    if let Err(status) = increment_metric(metric, 1) {
        log::error!("metric {metric} cannot be incremented: {status:?}");
    }
}

struct Worker;

impl Context for Worker {}

impl HttpContext for Worker {
    fn on_http_request_headers(&mut self, _: usize, _: bool) -> Action {
        let Some(line) = self.get_http_request_header("x-do") else {
            return Action::Continue;
        };
        let words: Vec<_> = line.split_whitespace().collect();
        if let ["get", key] = words[..] {
            self.show(key);
        } else {
            let (status, body) = match self.work(&words) {
                Some(body) => (200, body),
                None => (400, format!("cannot be understood: {line}")),
            };
            self.send_http_response(status, vec![], Some(body.as_bytes()));
        }
        Action::Pause
    }
}

impl Worker {
    fn show(&self, key: &str) {
        let (value, cas) = self.get_shared_data(key);
        match cas {
            Some(cas) => {
                let cas = cas.to_string();
                let body = value.unwrap_or_default();
                self.send_http_response(200, vec![("x-cas", &cas)], Some(&body));
            }
            None => self.send_http_response(404, vec![], Some(b"not there")),
        }
    }

    fn work(&self, words: &[&str]) -> Option<String> {
        Some(match *words {
            ["cas", key, n] => cas(key, number(n)?),
            ["churn", prefix, keys, n, size] => churn(
                prefix,
                number(keys)?.max(1),
                number(n)?,
                number(size)? as usize,
            ),
            ["fill", prefix, n, size] => {
                let value = vec![b'x'; number(size)? as usize];
                repeat(number(n)?, |i| {
                    hostcalls::set_shared_data(&format!("{prefix}{i}"), &value, 0)
                })
            }
            ["set", key, value] => set(key, value, 0),
            ["set", key, value, cas] => set(key, value, cas.parse().ok()?),
            ["add", name, n] => measure(MetricType::Counter, name, number(n)?, |id| {
                increment_metric(id, 1)
            }),
            ["gauge", name, delta, n] => {
                let delta = delta.parse().ok()?;
                measure(MetricType::Gauge, name, number(n)?, |id| {
                    increment_metric(id, delta)
                })
            }
            ["sample", name, value, n] => {
                let value = number(value)?;
                measure(MetricType::Histogram, name, number(n)?, |id| {
                    record_metric(id, value)
                })
            }
            ["metric", name] => measure(MetricType::Counter, name, 0, |_| Ok(())),
            ["define", prefix, n] => repeat(number(n)?, |i| {
                hostcalls::define_metric(MetricType::Counter, &format!("{prefix}{i}")).map(drop)
            }),
            ["enqueue", queue, n] => self.enqueue(queue, number(n)?),
            ["dequeue", queue, n] => self.dequeue(queue, number(n)?),
            _ => return None,
        })
    }

    fn enqueue(&self, queue: &str, n: u64) -> String {
        let id = self.get_http_request_header("x-id").unwrap_or_default();
        match self.resolve(queue) {
            Ok(queue) => repeat(n, |i| {
                hostcalls::enqueue_shared_queue(queue, format!("{id}:{}", i + 1).as_bytes())
            }),
            Err(status) => early(0, status),
        }
    }

    fn dequeue(&self, queue: &str, n: u64) -> String {
        let mut items = String::new();
        let taken = self.resolve(queue).and_then(|queue| {
            for _ in 0..n {
                let Some(item) = dequeue_shared_queue(queue).map_err(|status| status as u32)?
                else {
                    break;
                };
                items.push_str(&String::from_utf8_lossy(&item));
                items.push('\n');
            }
            Ok(())
        });
        if let Err(status) = taken {
            items.push_str(&early(items.lines().count() as u64, status));
        }
        items
    }

    fn resolve(&self, queue: &str) -> Answer<u32> {
        let own = self
            .get_property(vec!["plugin_vm_id"])
            .and_then(|vm_id| String::from_utf8(vm_id).ok())
            .unwrap_or_default();
        let (vm_id, name) = queue.split_once('/').unwrap_or((&own, queue));
        resolve_shared_queue(vm_id, name)
            .map_err(|status| status as u32)?
            .ok_or(1)
    }
}

fn number(word: &str) -> Option<u64> {
    word.parse().ok()
}

fn early(n: u64, status: u32) -> String {
    format!("{n} status {status}")
}

/// Takes `step` for each number below `n`; says how many it took.
fn repeat(n: u64, mut step: impl FnMut(u64) -> Answer<()>) -> String {
    for i in 0..n {
        if let Err(status) = step(i) {
            return early(i, status);
        }
    }
    n.to_string()
}

fn set(key: &str, value: &str, cas: u32) -> String {
    repeat(1, |_| {
        hostcalls::set_shared_data(key, value.as_bytes(), cas)
    })
}

fn value(key: &str) -> (Vec<u8>, Option<u32>) {
    let (value, cas) = get_shared_data(key).unwrap_or_default();
    (value.unwrap_or_default(), cas)
}

fn cas(key: &str, n: u64) -> String {
    let mut retries = 0;
    let mut done = 0;
    while done < n {
        let (value, cas) = value(key);
        let count: u64 = String::from_utf8_lossy(&value).parse().unwrap_or(0);
        let next = (count + 1).to_string();
        match hostcalls::set_shared_data(key, next.as_bytes(), cas.unwrap_or(NOT_THERE)) {
            Ok(()) => done += 1,
            Err(CAS_MISMATCH) => retries += 1,
            Err(status) => return early(retries, status),
        }
    }
    retries.to_string()
}

fn churn(prefix: &str, keys: u64, n: u64, size: usize) -> String {
    let mut bad = 0;
    let mut random = get_current_time()
        .ok()
        .and_then(|now| now.duration_since(UNIX_EPOCH).ok())
        .map_or(0, |now| u64::from(now.subsec_nanos()));
    for i in 0..n {
        // Numerical Recipes' generator; its high bits are good enough.
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223) & 0xffff_ffff;
        let key = format!("{prefix}{}", (random >> 8) % keys);
        let (kept, _) = value(&key);
        if kept.windows(2).any(|pair| pair[0] != pair[1]) || kept.len() > size {
            bad += 1;
        }
        // No bytes at all remove the key.
        let bytes = vec![b'a' + (i % 26) as u8; (random >> 4) as usize % (size + 1)];
        let bytes = if i % 4 == 3 { &[][..] } else { &bytes };
        if let Err(status) = hostcalls::set_shared_data(&key, bytes, 0) {
            return early(bad, status);
        }
    }
    bad.to_string()
}

/// Changes a metric `n` times; says its value.
fn measure(
    kind: MetricType,
    name: &str,
    n: u64,
    change: impl Fn(u32) -> Result<(), proxy_wasm::types::Status>,
) -> String {
    let id = match hostcalls::define_metric(kind, name) {
        Ok(id) => id,
        Err(status) => return early(0, status),
    };
    for i in 0..n {
        if let Err(status) = change(id) {
            return early(i, status as u32);
        }
    }
    match get_metric(id) {
        Ok(value) if kind == MetricType::Gauge => value.cast_signed().to_string(),
        Ok(value) => value.to_string(),
        Err(status) => early(n, status as u32),
    }
}
