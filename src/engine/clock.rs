//! The clock that ends calls into guests which take too long.
//!
//! It is a thread of the embedder's that calls [`tick`] once in a [`period`], in a process that has guests running and does not fork.
//! Where there is none, the embedder may have one for as long as a call takes, see [`set_starter`]; else calls take as long as they take.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

/// How many milliseconds lie between two ticks, at most and at least.
const PERIODS: (u32, u32) = (1, 10);

/// The part of a deadline that a call may take longer than it should, where the least period allows it.
const PRECISION: u32 = 10;

/// How many ticks without a call the clock waits for before it stands still.
const IDLE: u32 = 100;

static RUNS: AtomicBool = AtomicBool::new(false);
/// In milliseconds.
static PERIOD: AtomicU32 = AtomicU32::new(PERIODS.1);
static NOW: AtomicU64 = AtomicU64::new(0);
/// Calls under way.
static CALLS: AtomicU32 = AtomicU32::new(0);
static STANDS: AtomicBool = AtomicBool::new(false);
static REST: Mutex<()> = Mutex::new(());
static WAKE: Condvar = Condvar::new();

/// What is done at a tick. It is forgotten once it answers that it has nothing to do any more.
type Watcher = Box<dyn Fn(u64) -> bool + Send>;

static WATCHERS: Mutex<Vec<Watcher>> = Mutex::new(Vec::new());

/// Whether the clock runs in this process.
pub fn runs() -> bool {
    RUNS.load(Ordering::Relaxed)
}

/// Says whether it does: whoever says yes has a thread call [`tick`] from now on. Answers what was so before.
pub fn set_runs(yes: bool) -> bool {
    STANDS.store(false, Ordering::SeqCst);
    RUNS.swap(yes, Ordering::SeqCst)
}

/// How long the thread sleeps between ticks.
pub fn period() -> Duration {
    Duration::from_millis(u64::from(PERIOD.load(Ordering::Relaxed)))
}

/// Calls may take no longer than so from now on: the clock ticks as often as that needs.
pub fn serve(time: Duration) {
    let period = u32::try_from(time.as_millis()).unwrap_or(u32::MAX) / PRECISION;
    PERIOD.fetch_min(period.clamp(PERIODS.0, PERIODS.1), Ordering::Relaxed);
}

/// What lasts as long as a call that has a clock of its own, and ends that when dropped.
pub type Temporary = Box<dyn Send>;

static STARTER: OnceLock<fn() -> Option<Temporary>> = OnceLock::new();

/// Sets what is asked where a call begins and no clock runs: it starts one, for good or for that call.
pub fn set_starter(starter: fn() -> Option<Temporary>) {
    let _ = STARTER.set(starter);
}

/// Time goes on, for guests that run.
pub fn advance() {
    let now = NOW.fetch_add(1, Ordering::Relaxed) + 1;
    WATCHERS.lock().retain(|watcher| watcher(now));
}

/// One tick, after which the thread sleeps for a [`period`]; it returns later where no guest runs.
pub fn tick(idle: &mut u32) {
    advance();
    if CALLS.load(Ordering::Relaxed) > 0 {
        *idle = 0;
        return;
    }
    *idle += 1;
    if *idle < IDLE {
        return;
    }
    *idle = 0;
    let mut rest = REST.lock();
    STANDS.store(true, Ordering::SeqCst);
    while STANDS.load(Ordering::SeqCst) && CALLS.load(Ordering::SeqCst) == 0 {
        WAKE.wait(&mut rest);
    }
    STANDS.store(false, Ordering::SeqCst);
}

/// Has something done at every tick. It runs on the clock's thread.
pub fn watch(watcher: impl Fn(u64) -> bool + Send + 'static) {
    WATCHERS.lock().push(Box::new(watcher));
}

/// The time now, in ticks.
pub fn now() -> u64 {
    NOW.load(Ordering::Relaxed)
}

/// How long calls may take.
#[derive(Clone, Copy, Debug)]
pub struct Allowed {
    pub time: Duration,
    /// In ticks, of which this was the period.
    ticks: u64,
    period: u32,
}

impl Allowed {
    pub fn new(time: Duration) -> Self {
        let period = PERIOD.load(Ordering::Relaxed);
        let milliseconds = u64::try_from(time.as_millis()).unwrap_or(u64::MAX >> 1);
        Self {
            time,
            // The tick under way is not a whole one.
            ticks: milliseconds.div_ceil(u64::from(period)) + 1,
            period,
        }
    }

    /// The same in the ticks that there are now.
    fn ticks(&self) -> u64 {
        if self.period == PERIOD.load(Ordering::Relaxed) {
            self.ticks
        } else {
            Self::new(self.time).ticks
        }
    }
}

/// A call into a guest, while it lasts.
pub struct Call {
    /// In how many ticks it has to end.
    pub ticks: Option<u64>,
    temporary: Option<Temporary>,
}

impl Call {
    /// Begins a call that may take so long.
    #[inline]
    pub fn begin(allowed: &Allowed) -> Self {
        let temporary = if runs() { None } else { start_temporary() };
        if !runs() {
            return Self {
                ticks: None,
                temporary: None,
            };
        }
        CALLS.fetch_add(1, Ordering::SeqCst);
        if STANDS.load(Ordering::SeqCst) {
            wake_up();
        }
        Self {
            ticks: Some(allowed.ticks()),
            temporary,
        }
    }
}

#[cold]
fn start_temporary() -> Option<Temporary> {
    STARTER.get().and_then(|start| start())
}

#[cold]
fn wake_up() {
    drop(REST.lock());
    WAKE.notify_all();
}

impl Drop for Call {
    fn drop(&mut self) {
        if self.ticks.is_some() {
            CALLS.fetch_sub(1, Ordering::Relaxed);
        }
        drop(self.temporary.take());
    }
}

/// What is said of a call that took longer.
pub fn message(time: Duration) -> String {
    format!("it took more than {} ms", time.as_millis())
}
