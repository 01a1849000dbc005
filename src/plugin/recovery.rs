//! When a plugin that crashes again and again is tried again.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// How often a plugin may crash.
#[derive(Clone, Copy, Debug)]
pub struct CrashLimit {
    /// So many crashes are forgiven; `None` for all.
    pub crashes: Option<u32>,
    /// Those that are longer ago do not count.
    pub window: Duration,
}

impl Default for CrashLimit {
    fn default() -> Self {
        Self {
            crashes: Some(10),
            window: Duration::from_secs(60),
        }
    }
}

/// How long a plugin is not run, at first and at most; each time doubles it.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

#[derive(Debug)]
enum State {
    Runs,
    /// It is not run.
    Out {
        until: Instant,
    },
    /// It is run again, and one more crash is too many.
    Tried {
        since: Instant,
    },
}

/// Whether a plugin may be run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Yes,
    /// For the first time after it was not.
    Again,
    No,
}

/// The crashes of one plugin in one process.
#[derive(Debug)]
pub struct Recovery {
    limit: CrashLimit,
    /// Those that count, oldest first.
    crashes: VecDeque<Instant>,
    state: State,
    pause: Duration,
}

impl Recovery {
    pub fn new(limit: CrashLimit) -> Self {
        Self {
            limit,
            crashes: VecDeque::new(),
            state: State::Runs,
            pause: PAUSES.0,
        }
    }

    /// The plugin has crashed. Answers for how long it is not run, where it was once too often, and how many crashes count.
    pub fn crashed(&mut self, now: Instant) -> Option<(Duration, usize)> {
        let limit = self.limit.crashes?;
        self.forget(now);
        self.crashes.push_back(now);
        let too_often = match self.state {
            State::Runs => self.crashes.len() > limit as usize,
            State::Tried { .. } => true,
            State::Out { .. } => false,
        };
        if !too_often {
            return None;
        }
        let pause = self.pause;
        self.state = State::Out { until: now + pause };
        self.pause = (pause * 2).min(PAUSES.1);
        Some((pause, self.crashes.len()))
    }

    /// Whether it may be run now.
    pub fn verdict(&mut self, now: Instant) -> Verdict {
        match self.state {
            State::Out { until } if now < until => Verdict::No,
            State::Out { .. } => {
                self.state = State::Tried { since: now };
                Verdict::Again
            }
            State::Runs | State::Tried { .. } => {
                self.forget(now);
                Verdict::Yes
            }
        }
    }

    /// Whether it is not run, or was not when somebody last asked.
    pub fn is_out(&self) -> bool {
        matches!(self.state, State::Out { .. })
    }

    /// Whether [`Recovery::verdict`] would be no.
    pub fn rejects(&self, now: Instant) -> bool {
        matches!(self.state, State::Out { until } if now < until)
    }

    /// What is longer ago than the window does not count.
    fn forget(&mut self, now: Instant) {
        let window = self.limit.window;
        let is_old = |then: Instant| now.duration_since(then) >= window;
        while self.crashes.front().is_some_and(|then| is_old(*then)) {
            self.crashes.pop_front();
        }
        if let State::Tried { since } = self.state
            && is_old(since)
        {
            self.state = State::Runs;
            self.pause = PAUSES.0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: CrashLimit = CrashLimit {
        crashes: Some(2),
        window: Duration::from_secs(10),
    };

    /// One that runs with the limit, and the time it began.
    fn recovery() -> (Recovery, Instant) {
        (Recovery::new(LIMIT), Instant::now())
    }

    fn seconds(seconds: f64) -> Duration {
        Duration::from_secs_f64(seconds)
    }

    #[test]
    fn so_many_crashes_are_forgiven_and_no_more() {
        let (mut recovery, begin) = recovery();
        assert_eq!(recovery.crashed(begin), None);
        assert_eq!(recovery.crashed(begin + seconds(1.0)), None);
        let now = begin + seconds(2.0);
        assert_eq!(recovery.verdict(now), Verdict::Yes);
        assert_eq!(recovery.crashed(now), Some((seconds(1.0), 3)));
        assert_eq!(recovery.verdict(now + seconds(0.9)), Verdict::No);
        assert_eq!(recovery.verdict(now + seconds(1.0)), Verdict::Again);
        assert_eq!(recovery.verdict(now + seconds(1.0)), Verdict::Yes);
    }

    #[test]
    fn crashes_that_are_longer_ago_than_the_window_do_not_count() {
        let (mut recovery, begin) = recovery();
        for i in 0..100 {
            let now = begin + seconds(5.0) * i;
            assert_eq!(recovery.crashed(now), None, "crash {i}");
        }
    }

    #[test]
    fn each_pause_is_twice_the_last_up_to_a_minute() {
        let (mut recovery, mut now) = recovery();
        let mut pauses = Vec::new();
        recovery.crashed(now);
        recovery.crashed(now);
        while pauses.len() < 9 {
            let (pause, _) = recovery.crashed(now).expect("it is out");
            pauses.push(pause.as_secs());
            assert_eq!(recovery.crashed(now), None, "it is out already");
            now += pause;
            assert_eq!(recovery.verdict(now), Verdict::Again);
        }
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
    }

    #[test]
    fn a_plugin_that_has_run_for_a_window_begins_anew() {
        let (mut recovery, begin) = recovery();
        for _ in 0..3 {
            recovery.crashed(begin);
        }
        let again = begin + seconds(1.0);
        assert_eq!(recovery.verdict(again), Verdict::Again);
        let later = again + LIMIT.window;
        assert_eq!(recovery.crashed(later), None);
        assert_eq!(recovery.crashed(later), None);
        assert_eq!(recovery.crashed(later), Some((seconds(1.0), 3)));
    }

    #[test]
    fn a_limit_of_none_forgives_none() {
        let limit = CrashLimit {
            crashes: Some(0),
            ..LIMIT
        };
        assert!(Recovery::new(limit).crashed(Instant::now()).is_some());
    }

    #[test]
    fn without_a_limit_all_are_forgiven() {
        let limit = CrashLimit {
            crashes: None,
            ..LIMIT
        };
        let mut recovery = Recovery::new(limit);
        let now = Instant::now();
        assert!((0..1000).all(|_| recovery.crashed(now).is_none()));
    }
}
