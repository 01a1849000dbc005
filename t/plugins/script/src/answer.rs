//! One hostcall made, and what it answered.

use crate::hostcalls::{Hostcall, Kind};
use crate::{guest_memory, show};

/// What a hostcall answered.
pub struct Answer {
    pub status: u32,
    outputs: Vec<Output>,
    /// Something to be said about how it answered.
    oddity: &'static str,
}

enum Output {
    Number(i64),
    Bytes(Option<Vec<u8>>),
    Pairs(Option<Vec<u8>>),
}

impl Answer {
    /// Calls with `inputs` followed by pointers for what `hostcall` returns.
    pub fn of(hostcall: &Hostcall, mut inputs: Vec<i64>) -> Result<Self, usize> {
        let cells = Box::into_raw(Box::new([0u64; 4]));
        let at = |cell: usize| cells as i64 + 8 * cell as i64;
        // SAFETY: `cells` is freed at the end of this function. Volatile, because only the host writes there.
        let read = |cell: usize| unsafe { cells.cast::<u64>().add(cell).read_volatile() };

        let mut used = 0;
        for kind in hostcall.kinds {
            let cells = match kind {
                Kind::OutNumber | Kind::OutLong => 1,
                Kind::OutBytes | Kind::OutPairs => 2,
                _ => 0,
            };
            inputs.extend((used..used + cells).map(at));
            used += cells;
        }
        let status = hostcall.call(&inputs);

        let mut outputs = Vec::new();
        let mut oddity = "";
        if status == Ok(0) {
            let mut cell = 0..;
            let mut next = || read(cell.next().unwrap_or_default());
            for kind in hostcall.kinds {
                outputs.push(match kind {
                    Kind::OutNumber => Output::Number((next() as u32).into()),
                    Kind::OutLong => Output::Number(next() as i64),
                    Kind::OutBytes | Kind::OutPairs => {
                        let (data, size) = (next() as u32, next() as u32);
                        let bytes = (data != 0 || size != 0)
                            .then(|| guest_memory::take(data, size))
                            .map(|returned| {
                                if !returned.ours {
                                    oddity = " (not ours)";
                                }
                                returned.bytes
                            });
                        if matches!(kind, Kind::OutPairs) {
                            Output::Pairs(bytes)
                        } else {
                            Output::Bytes(bytes)
                        }
                    }
                    _ => continue,
                });
            }
        } else if (0..used).any(|cell| read(cell) != 0) {
            oddity = " (wrote results)";
        }
        // SAFETY: made by `into_raw` above, and not used again.
        drop(unsafe { Box::from_raw(cells) });
        Ok(Self {
            status: status?,
            outputs,
            oddity,
        })
    }

    pub fn bytes(&self) -> Option<&[u8]> {
        self.outputs.iter().find_map(|output| match output {
            Output::Bytes(bytes) | Output::Pairs(bytes) => bytes.as_deref(),
            Output::Number(_) => None,
        })
    }

    pub fn number(&self) -> Option<i64> {
        self.outputs.iter().find_map(|output| {
            if let Output::Number(number) = output {
                Some(*number)
            } else {
                None
            }
        })
    }

    pub fn show(&self) -> String {
        let mut text = format!("-> {}", self.status);
        for output in &self.outputs {
            text.push(' ');
            text.push_str(&match output {
                Output::Number(number) => number.to_string(),
                Output::Bytes(Some(bytes)) => show::quoted(bytes),
                Output::Pairs(Some(map)) => show::pairs(map),
                Output::Bytes(None) | Output::Pairs(None) => "null".into(),
            });
        }
        text + self.oddity
    }
}
