//! A line's arguments into numbers, bytes, and a hostcall's parameters.

use crate::hostcalls::{Hostcall, Kind};
use crate::parse::{self, Char, Line, Token, Word};
use crate::run::Frame;
use crate::{guest_memory, show};

/// A line's arguments, taken from the left.
pub struct Arguments<'a> {
    frame: &'a Frame<'a>,
    tokens: std::iter::Peekable<std::slice::Iter<'a, Token>>,
}

impl<'a> Arguments<'a> {
    pub fn new(frame: &'a Frame<'a>, line: &'a Line) -> Self {
        Self {
            frame,
            tokens: line.arguments.iter().peekable(),
        }
    }

    fn word(&mut self) -> Result<&'a Word, String> {
        match self.tokens.next() {
            Some(Token::Word(word)) => Ok(word),
            Some(Token::Group(_)) => Err("parentheses where there is no map".into()),
            None => Err("too few arguments".into()),
        }
    }

    pub fn end(&mut self) -> Result<(), String> {
        if self.tokens.next().is_some() {
            Err("too many arguments".into())
        } else {
            Ok(())
        }
    }

    pub fn text(&mut self) -> Result<Vec<u8>, String> {
        self.frame.expand(self.word()?)
    }

    pub fn number(&mut self) -> Result<i64, String> {
        self.frame.number(self.word()?)
    }

    pub fn numbers(&mut self) -> Result<Vec<i64>, String> {
        let mut numbers = Vec::new();
        while self.tokens.peek().is_some() {
            numbers.push(self.number()?);
        }
        Ok(numbers)
    }

    /// All that is left, joined by blanks.
    pub fn rest(&mut self) -> Result<Vec<u8>, String> {
        let mut pieces = Vec::new();
        for token in self.tokens.by_ref() {
            pieces.push(match token {
                Token::Word(word) => self.frame.expand(word)?,
                Token::Group(words) => {
                    let words: Vec<_> = words.iter().map(|word| parse::bytes(word)).collect();
                    [b"(".as_slice(), &words.join(&b' '), b")"].concat()
                }
            });
        }
        Ok(pieces.join(&b' '))
    }

    fn path(&mut self) -> Result<Vec<u8>, String> {
        let word = self.word()?;
        if let Some(literal) = without_prefix(word, "path:") {
            return Ok(parse::bytes(literal));
        }
        let mut path = self.frame.expand(word)?;
        for byte in &mut path {
            if *byte == b'.' {
                *byte = 0;
            }
        }
        Ok(path)
    }

    /// A map in parentheses, `bytes:…`, or, as the `last` argument, all that is left.
    fn map(&mut self, last: bool) -> Result<Vec<u8>, String> {
        let words: Vec<&Word> = match self.tokens.peek() {
            Some(Token::Group(words)) => {
                self.tokens.next();
                words.iter().collect()
            }
            Some(Token::Word(word)) => {
                if let Some(literal) = without_prefix(word, "bytes:") {
                    self.tokens.next();
                    return Ok(parse::bytes(literal));
                }
                if !last {
                    return Err("a map in parentheses expected".into());
                }
                std::iter::from_fn(|| self.tokens.next_if(|token| matches!(token, Token::Word(_))))
                    .filter_map(|token| {
                        if let Token::Word(word) = token {
                            Some(word)
                        } else {
                            None
                        }
                    })
                    .collect()
            }
            None => return Err("too few arguments".into()),
        };
        let mut pairs = Vec::new();
        for word in words {
            let end = word
                .iter()
                .position(|char| char.byte == b'=')
                .unwrap_or(word.len());
            let value = self.frame.expand(word.get(end + 1..).unwrap_or_default())?;
            pairs.push((parse::bytes(&word[..end]), value));
        }
        Ok(show::serialize(&pairs))
    }

    fn level(&mut self) -> Result<i64, String> {
        let word = self.word()?;
        let levels: [&[u8]; 6] = [b"trace", b"debug", b"info", b"warn", b"error", b"critical"];
        let text = parse::bytes(word);
        match levels.iter().position(|level| *level == text) {
            Some(level) => Ok(level as i64),
            None => self.frame.number(word),
        }
    }

    /// A context's id, also by one of the names of `%NAME` without the `%`.
    pub fn context(&mut self) -> Result<i64, String> {
        let word = self.word()?;
        let text = parse::bytes(word);
        if matches!(text.as_slice(), b"caller" | b"self" | b"root" | b"stream") {
            let id = self.frame.named(&String::from_utf8_lossy(&text))?;
            return parsed(&id).ok_or_else(|| "not a number".into());
        }
        self.frame.number(word)
    }

    pub fn return_value(&mut self) -> Result<u32, String> {
        let word = self.word()?;
        match parse::bytes(word).as_slice() {
            b"continue" | b"false" => Ok(0),
            b"pause" | b"true" => Ok(1),
            _ => Ok(self.frame.number(word)? as u32),
        }
    }

    pub fn scratch_offset(&mut self, start: usize) -> Result<usize, String> {
        let at = usize::try_from(self.number()?).ok();
        at.filter(|at| *at <= guest_memory::SCRATCH_SIZE - start)
            .ok_or_else(|| "beyond the scratch memory".into())
    }

    /// The parameters for a hostcall's inputs, and what their pointers point to.
    pub fn lower(&mut self, hostcall: &Hostcall) -> Result<(Vec<i64>, Vec<Vec<u8>>), String> {
        let is_output = |kind: &Kind| {
            matches!(
                kind,
                Kind::OutNumber | Kind::OutLong | Kind::OutBytes | Kind::OutPairs
            )
        };
        let mut inputs = Vec::new();
        let mut held = Vec::new();
        for (at, kind) in hostcall.kinds.iter().enumerate() {
            let last = hostcall.kinds[at + 1..].iter().all(is_output);
            let given = self.tokens.peek().is_some();
            let bytes = match kind {
                Kind::Number | Kind::Long => {
                    inputs.push(self.number()?);
                    continue;
                }
                Kind::NumberOr(default) => {
                    inputs.push(if given { self.number()? } else { *default });
                    continue;
                }
                Kind::Level => {
                    inputs.push(self.level()?);
                    continue;
                }
                Kind::OutNumber | Kind::OutLong | Kind::OutBytes | Kind::OutPairs => continue,
                Kind::TextOrEmpty | Kind::PairsOrEmpty if !given => Vec::new(),
                Kind::Text | Kind::TextOrEmpty => self.text()?,
                Kind::Rest => self.rest()?,
                Kind::Path => self.path()?,
                Kind::Pairs | Kind::PairsOrEmpty => self.map(last)?,
            };
            inputs.push(if bytes.is_empty() {
                0
            } else {
                bytes.as_ptr() as i64
            });
            inputs.push(bytes.len() as i64);
            held.push(bytes);
        }
        self.end()?;
        Ok((inputs, held))
    }
}

fn without_prefix<'a>(word: &'a [Char], prefix: &str) -> Option<&'a [Char]> {
    let (start, rest) = word.split_at_checked(prefix.len())?;
    start
        .iter()
        .zip(prefix.bytes())
        .all(|(char, byte)| {
            *char
                == Char {
                    byte,
                    quoted: false,
                }
        })
        .then_some(rest)
}

/// A number in decimal or, after `0x`, in hexadecimal.
pub fn parsed(text: &[u8]) -> Option<i64> {
    let text = str::from_utf8(text).ok()?;
    if let Some(digits) = text.strip_prefix("0x") {
        return u64::from_str_radix(digits, 16)
            .ok()
            .map(|number| number as i64);
    }
    text.parse()
        .ok()
        .or_else(|| text.parse::<u64>().ok().map(|number| number as i64))
}
