//! The script's text into lines.

use crate::CALLBACKS;

/// A byte of a word; a quoted one means only itself.
#[derive(Clone, Copy, PartialEq)]
pub struct Char {
    pub byte: u8,
    pub quoted: bool,
}

pub type Word = Vec<Char>;

#[derive(Clone)]
pub enum Token {
    Word(Word),
    /// Words in parentheses.
    Group(Vec<Word>),
}

enum Guard {
    End,
    More,
    Nth(u32),
    /// In a call's callback: of the call with this label.
    Of(String),
}

/// What guards ask of a run of a callback.
pub struct Occasion {
    pub callback: &'static str,
    /// How often the callback ran on this context, this time included.
    pub nth: u32,
    pub end_of_stream: Option<bool>,
}

pub struct Line {
    /// `on_*` stands for all.
    callback: String,
    guards: Vec<Guard>,
    pub label: Option<String>,
    pub command: String,
    pub arguments: Vec<Token>,
}

#[derive(Default)]
pub struct Script {
    pub lines: Vec<Line>,
    /// A message for each line that was left out.
    pub errors: Vec<String>,
}

pub fn script(text: &[u8]) -> Script {
    let mut script = Script::default();
    for source in text.split(|&byte| byte == b'\n') {
        let source = source.trim_ascii();
        if source.is_empty() || source[0] == b'#' {
            continue;
        }
        match line(source) {
            Ok(line) => script.lines.push(line),
            Err(why) => script.errors.push(format!(
                "script: {}: {why}",
                String::from_utf8_lossy(source)
            )),
        }
    }
    script
}

impl Line {
    /// Whether the line is meant for `occasion`; `answers` says whether that is about the call with a label.
    pub fn runs_in(&self, occasion: &Occasion, answers: impl Fn(&str) -> bool) -> bool {
        (self.callback == occasion.callback || self.callback == "on_*")
            && self.guards.iter().all(|guard| match guard {
                Guard::End => occasion.end_of_stream == Some(true),
                Guard::More => occasion.end_of_stream == Some(false),
                Guard::Nth(wanted) => *wanted == occasion.nth,
                Guard::Of(label) => answers(label),
            })
    }
}

fn line(source: &[u8]) -> Result<Line, String> {
    let mut tokens = tokens(source)?.into_iter();
    let mut name = |what: &str| match tokens.next() {
        Some(Token::Word(word)) => Ok(plain(&word)),
        _ => Err(format!("{what} expected")),
    };

    let head = name("a callback")?;
    let mut parts = head.split('@');
    let callback = parts.next().unwrap_or_default();
    if callback != "on_*" && !CALLBACKS.contains(&callback) {
        return Err(format!("no such callback: {callback}"));
    }
    let guards = parts.map(guard).collect::<Result<_, _>>()?;

    let mut command = name("a command")?;
    let mut label = None;
    if command == "as" {
        label = Some(name("a label")?);
        command = name("a command")?;
    }
    Ok(Line {
        callback: callback.into(),
        guards,
        label,
        command,
        arguments: tokens.collect(),
    })
}

fn guard(text: &str) -> Result<Guard, String> {
    match text {
        "end" => Ok(Guard::End),
        "more" => Ok(Guard::More),
        _ if text.starts_with("of:") => Ok(Guard::Of(text["of:".len()..].into())),
        _ => text
            .parse()
            .map(Guard::Nth)
            .map_err(|_| format!("no such guard: {text}")),
    }
}

fn plain(word: &[Char]) -> String {
    String::from_utf8_lossy(&bytes(word)).into_owned()
}

pub fn bytes(word: &[Char]) -> Vec<u8> {
    word.iter().map(|char| char.byte).collect()
}

fn tokens(source: &[u8]) -> Result<Vec<Token>, String> {
    let mut tokens = Vec::new();
    let mut group: Option<Vec<Word>> = None;
    let mut word: Option<Word> = None;
    let mut rest = source.iter().copied();

    let add = |word: Option<Word>, group: &mut Option<Vec<Word>>, tokens: &mut Vec<Token>| match (
        word, group,
    ) {
        (Some(word), Some(group)) => group.push(word),
        (Some(word), None) => tokens.push(Token::Word(word)),
        (None, _) => {}
    };
    while let Some(byte) = rest.next() {
        match byte {
            b' ' | b'\t' | b'\r' => add(word.take(), &mut group, &mut tokens),
            b'(' => {
                add(word.take(), &mut group, &mut tokens);
                if group.replace(Vec::new()).is_some() {
                    return Err("parentheses within parentheses".into());
                }
            }
            b')' => {
                add(word.take(), &mut group, &mut tokens);
                tokens.push(Token::Group(
                    group.take().ok_or("a parenthesis that was not opened")?,
                ));
            }
            b'"' => word.get_or_insert_default().extend(quoted(&mut rest)?),
            _ => word.get_or_insert_default().push(Char {
                byte,
                quoted: false,
            }),
        }
    }
    add(word, &mut group, &mut tokens);
    if group.is_some() {
        return Err("a parenthesis that is not closed".into());
    }
    Ok(tokens)
}

/// The rest of a quoted piece, its closing quote taken.
fn quoted(rest: &mut impl Iterator<Item = u8>) -> Result<Word, String> {
    let mut word = Word::new();
    let mut next = || rest.next().ok_or("a quote that is not closed");
    loop {
        let byte = match next()? {
            b'"' => return Ok(word),
            b'\\' => match next()? {
                b'n' => b'\n',
                b'r' => b'\r',
                b't' => b'\t',
                b'0' => 0,
                b'x' => {
                    let digits = [next()?, next()?];
                    let digits = str::from_utf8(&digits).unwrap_or_default();
                    u8::from_str_radix(digits, 16)
                        .map_err(|_| "two hexadecimal digits expected after \\x")?
                }
                byte @ (b'"' | b'\\') => byte,
                byte => return Err(format!("no such escape: \\{}", char::from(byte))),
            },
            byte => byte,
        };
        word.push(Char { byte, quoted: true });
    }
}
