//! What nginx makes of a configuration's text: directives, how many arguments each has, and blocks in blocks.

/// A directive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Directive {
    /// Its name.
    pub name: String,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// What stands in its block; `None` where it ends with a semicolon.
    pub block: Option<Vec<Directive>>,
}

/// The form of a configuration: names, numbers of arguments and blocks, without what the arguments are.
pub fn form(directives: &[Directive]) -> String {
    let one = |directive: &Directive| {
        let block = directive.block.as_ref().map(|inner| format!("{{{}}}", form(inner))).unwrap_or_default();
        // What stands in a map or a list of addresses are keys, not names.
        let name = if directive.name.starts_with(|c: char| c.is_ascii_lowercase()) { &*directive.name } else { "key" };
        format!("{name}/{}{block};", directive.arguments.len())
    };
    directives.iter().map(one).collect()
}

/// Reads a configuration as nginx does.
pub fn read(text: &str) -> Result<Vec<Directive>, String> {
    let mut characters = text.chars().peekable();
    let (directives, ended) = block(&mut characters)?;
    if ended { Err("a block ends that did not begin".to_owned()) } else { Ok(directives) }
}

/// The directives up to the end of a block, and whether it was one that ended.
fn block(text: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Result<(Vec<Directive>, bool), String> {
    let mut directives = Vec::new();
    let mut words: Vec<String> = Vec::new();
    while let Some(&c) = text.peek() {
        match c {
            ' ' | '\t' | '\r' | '\n' => drop(text.next()),
            '#' => drop(text.by_ref().find(|c| *c == '\n')),
            ';' | '{' => {
                text.next();
                if words.is_empty() {
                    return Err(format!("unexpected {c}"));
                }
                let name = words.remove(0);
                let inner = if c == '{' { Some(block(text)?) } else { None };
                if inner.as_ref().is_some_and(|(_, ended)| !ended) {
                    return Err("a block does not end".to_owned());
                }
                let arguments = std::mem::take(&mut words);
                directives.push(Directive { name, arguments, block: inner.map(|(inner, _)| inner) });
            }
            '}' => {
                text.next();
                return if words.is_empty() { Ok((directives, true)) } else { Err("unexpected }".to_owned()) };
            }
            '"' | '\'' => {
                text.next();
                words.push(in_quotes(text, c)?);
                if text.peek().is_some_and(|c| !" \t\r\n;{)".contains(*c)) {
                    return Err("something stands behind a quote".to_owned());
                }
            }
            _ => words.push(word(text)),
        }
    }
    if words.is_empty() { Ok((directives, false)) } else { Err("the end comes too soon".to_owned()) }
}

fn in_quotes(text: &mut std::iter::Peekable<std::str::Chars<'_>>, quote: char) -> Result<String, String> {
    let mut word = String::new();
    while let Some(c) = text.next() {
        match c {
            '\\' => match text.next() {
                Some(next @ ('"' | '\'' | '\\')) => word.push(next),
                Some(next) => word.extend(['\\', next]),
                None => break,
            },
            c if c == quote => return Ok(word),
            c => word.push(c),
        }
    }
    Err("a quote does not end".to_owned())
}

fn word(text: &mut std::iter::Peekable<std::str::Chars<'_>>) -> String {
    let mut word = String::new();
    while let Some(&c) = text.peek() {
        if c == '\\' {
            word.extend(text.next());
        } else if c == '{' && word.ends_with('$') {
            // A variable's name in braces is no block.
        } else if " \t\r\n;{".contains(c) {
            break;
        }
        word.extend(text.next());
    }
    word
}
