//! The documents of one file: YAML events → JSON values, each with the line on which it begins.
//!
//! The reader's events are turned into values here, not by serde, for three reasons: scalars must mean what kubectl takes
//! them for, every refusal must name a line, and aliases must be counted before they are copied.

use std::borrow::Cow;
use std::collections::HashMap;

use serde_json::{Map, Value};
use serde_saphyr::granit_parser::{ErrorKind, Event, Parser, ScalarStyle, ScanError, Span, Tag, options};

use super::error::{Problem, RenderError};
use super::limits::{Limits, MAX_ERRORS};
use super::scalar;
use super::substitute::{Variables, is_left_alone};

/// A document that is not empty.
#[derive(Debug)]
pub(super) struct Document {
    pub value: Value,
    /// Line of its first value.
    pub line: usize,
    /// Lines of the entries of `items`, for lists of objects.
    pub item_lines: Vec<usize>,
}

/// What is left of the limits that hold for all files together.
#[derive(Debug)]
pub(super) struct Budget {
    alias_bytes: usize,
    values: usize,
}

impl Budget {
    pub(super) fn new(limits: &Limits) -> Self {
        Self { alias_bytes: limits.alias_bytes, values: limits.values }
    }

    fn alias(&mut self, weight: usize, limits: &Limits) -> Result<(), Problem> {
        let left = self.alias_bytes.checked_sub(weight).ok_or(Problem::AliasBomb { limit: limits.alias_bytes })?;
        self.alias_bytes = left;
        Ok(())
    }

    fn value(&mut self, limits: &Limits) -> Result<(), Problem> {
        self.values = self.values.checked_sub(1).ok_or(Problem::TooManyValues { limit: limits.values })?;
        Ok(())
    }
}

/// Reads all documents of a file. What is wrong in one document does not hide what is wrong in the next.
pub(super) fn documents(
    file: &str,
    bytes: &[u8],
    limits: &Limits,
    budget: &mut Budget,
    variables: Option<&Variables>,
) -> (Vec<Document>, Vec<RenderError>) {
    let mut found = Vec::new();
    let mut errors = Vec::new();
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text.strip_prefix('\u{feff}').unwrap_or(text),
        Err(bad) => {
            let line = bytes[..bad.valid_up_to()].split(|&byte| byte == b'\n').count();
            return (found, vec![RenderError::new(file, line, Problem::NotUtf8)]);
        }
    };
    let mut parser_options = options! { flow_nesting_limit: limits.depth + 1, block_nesting_limit: limits.depth + 1 };
    parser_options.set_emit_comments(false);
    let mut parser = Parser::new_from_str_with_options(text, parser_options);
    let variables = variables.filter(|_| text.contains("${"));
    loop {
        let mut events = variables.map(|_| Vec::new());
        let read = document(&mut noting(&mut parser, events.as_mut()), limits, budget, None);
        let (read, is_past) = match (read, variables, events) {
            // What is to be filled in is known when the object was read once.
            (Ok(Some(as_written)), Some(variables), Some(events))
                if has_form(&events) && !is_left_alone(&as_written.value) =>
            {
                (document(&mut events.into_iter().map(Ok), limits, budget, Some(variables)), true)
            }
            (read, ..) => (read, false),
        };
        match read {
            Ok(Some(document)) if document.value.is_null() => {}
            Ok(Some(document)) => found.push(document),
            Ok(None) => break,
            Err(Fault { line, problem }) => {
                // With a budget spent, everything later would be an error of its own that says nothing new.
                let spent = matches!(problem, Problem::AliasBomb { .. } | Problem::TooManyValues { .. });
                errors.push(RenderError::new(file, line, problem));
                let mut goes_on = || is_past || parser.proceed_next_document().unwrap_or(false);
                if spent || errors.len() >= MAX_ERRORS || !goes_on() {
                    break;
                }
            }
        }
    }
    (found, errors)
}

/// The events, noted as they come.
fn noting<'input, 'a>(
    parser: &'a mut (impl Iterator<Item = Result<(Event<'input>, Span), ScanError>> + 'a),
    mut events: Option<&'a mut Vec<(Event<'input>, Span)>>,
) -> impl Iterator<Item = Result<(Event<'input>, Span), ScanError>> + 'a
where
    'input: 'a,
{
    parser.inspect(move |event| {
        if let (Some(events), Ok(event)) = (&mut events, event) {
            events.push(event.clone());
        }
    })
}

/// Whether something is to be filled in: most documents of a file have nothing, and are read once.
fn has_form(events: &[(Event<'_>, Span)]) -> bool {
    events.iter().any(|(event, _)| matches!(event, Event::Scalar(text, ..) if text.contains("${")))
}

struct Fault {
    line: usize,
    problem: Problem,
}

impl Fault {
    fn scan(error: &ScanError, limits: &Limits) -> Self {
        let problem = match error.kind() {
            ErrorKind::RecursionLimitExceeded => Problem::TooDeep { limit: limits.depth },
            kind => Problem::Syntax { what: kind.to_string(), hint: hint(kind) },
        };
        Self { line: error.marker().line(), problem }
    }
}

/// What an error of the reader most often means in a manifest.
fn hint(kind: &ErrorKind) -> &'static str {
    match kind {
        ErrorKind::MappingValueNotAllowed | ErrorKind::InvalidColonPlacement | ErrorKind::MappingKeyNotAllowed => {
            ": put a text that contains `: ` in quotes, and check the indentation of this line"
        }
        ErrorKind::SimpleKeyExpected
        | ErrorKind::ExpectedBlockMappingKey
        | ErrorKind::InvalidIndentation
        | ErrorKind::InvalidBlockScalarIndent
        | ErrorKind::BlockSequenceEntryNotAllowed => {
            ": check the indentation of this line and the one above, and that each key ends with `:`"
        }
        ErrorKind::TabNotAllowed
        | ErrorKind::TabInBlockIndentation
        | ErrorKind::TabInIndentation
        | ErrorKind::TabAtBlockScalarStart
        | ErrorKind::TabInPlainScalar => ": indent with spaces, not with tabs",
        ErrorKind::UnknownAnchor => ": an alias `*name` needs an anchor `&name` above it in the same document",
        ErrorKind::UnclosedQuotedScalar
        | ErrorKind::InvalidTrailingSingleQuotedScalar
        | ErrorKind::InvalidTrailingDoubleQuotedScalar => ": check that the quotes are closed where they should be",
        ErrorKind::InvalidQuotedScalarIndent => {
            ": close the quotes, or indent the further lines of the text more than its key"
        }
        ErrorKind::UnknownQuotedScalarEscape => ": in double quotes write a backslash twice, or use single quotes",
        ErrorKind::UnexpectedCharacter { .. } => ": put a text that begins with this character in quotes",
        ErrorKind::UnclosedFlowCollection { .. }
        | ErrorKind::ExpectedFlowMappingSeparator
        | ErrorKind::ExpectedFlowSequenceSeparator => ": check that each `{` and `[` is closed, and the commas between",
        _ => "",
    }
}

/// A value under construction, with what it adds to memory and how deep it is.
struct Node {
    value: Value,
    weight: usize,
    height: usize,
    line: usize,
}

enum Open {
    List(Vec<Value>),
    Mapping { entries: Map<String, Value>, lines: HashMap<String, usize>, key: Option<Key>, merges: Option<Vec<Value>> },
}

enum Key {
    Text(String),
    Merge,
}

struct Frame {
    open: Open,
    anchor: usize,
    line: usize,
    weight: usize,
    height: usize,
}

/// What a mapping or list costs beside its text, in bytes: about the size of a JSON value.
const NODE_WEIGHT: usize = 32;

struct Builder<'a> {
    limits: &'a Limits,
    budget: &'a mut Budget,
    stack: Vec<Frame>,
    anchors: HashMap<usize, (Value, usize, usize)>,
    root: Option<Node>,
    item_lines: Vec<usize>,
    variables: Option<&'a Variables>,
}

fn document<'input, P>(
    parser: &mut P,
    limits: &Limits,
    budget: &mut Budget,
    variables: Option<&Variables>,
) -> Result<Option<Document>, Fault>
where
    P: Iterator<Item = Result<(Event<'input>, Span), ScanError>>,
{
    let mut builder = Builder {
        limits,
        budget,
        stack: Vec::new(),
        anchors: HashMap::new(),
        root: None,
        item_lines: Vec::new(),
        variables,
    };
    for event in parser {
        let (event, span) = event.map_err(|error| Fault::scan(&error, limits))?;
        if matches!(event, Event::DocumentEnd) {
            let Some(root) = builder.root.take() else { continue };
            return Ok(Some(Document { value: root.value, line: root.line, item_lines: builder.item_lines }));
        }
        let line = span.start.line();
        builder.event(event, line).map_err(|problem| Fault { line, problem })?;
    }
    Ok(None)
}

impl Builder<'_> {
    fn event(&mut self, event: Event<'_>, line: usize) -> Result<(), Problem> {
        if matches!(event, Event::Scalar(..) | Event::SequenceStart(..) | Event::MappingStart(..)) {
            self.budget.value(self.limits)?;
        }
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let plain = style == ScalarStyle::Plain;
                let tag = tag.as_deref().map(short);
                // go-yaml writes it with its tag.
                let may_merge = tag.as_deref().is_none_or(|tag| tag == "!!merge");
                if plain && text == "<<" && may_merge && self.merge_begins(line)? {
                    return Ok(());
                }
                let text = match self.variables.filter(|_| !self.is_key_due()) {
                    Some(variables) => variables.fill(&text)?,
                    None => Cow::Borrowed(&*text),
                };
                // A value that stands in many places is many times in memory, as an alias is.
                if let Cow::Owned(filled) = &text {
                    self.budget.alias(filled.len(), self.limits)?;
                }
                let value = scalar::resolve(&text, plain, tag.as_deref()).map_err(Problem::Scalar)?;
                let node = Node { value, weight: NODE_WEIGHT + text.len(), height: 0, line };
                self.anchor(anchor, &node)?;
                self.place(node)
            }
            Event::SequenceStart(_, anchor, _) => self.open(Open::List(Vec::new()), anchor, line),
            Event::MappingStart(_, anchor, _) => {
                let entries = Open::Mapping { entries: Map::new(), lines: HashMap::new(), key: None, merges: None };
                self.open(entries, anchor, line)
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(),
            Event::Alias(id) => {
                let Some((value, weight, height)) = self.anchors.get(&id) else {
                    return Err(Problem::AliasInsideItself);
                };
                let (weight, height) = (*weight, *height);
                if self.stack.len() + height > self.limits.depth {
                    return Err(Problem::TooDeep { limit: self.limits.depth });
                }
                let value = {
                    self.budget.alias(weight, self.limits)?;
                    value.clone()
                };
                self.place(Node { value, weight, height, line })
            }
            _ => Ok(()),
        }
    }

    /// Whether the next scalar is a key: keys are structure, in which nothing is filled in.
    fn is_key_due(&self) -> bool {
        matches!(self.stack.last(), Some(Frame { open: Open::Mapping { key: None, .. }, .. }))
    }

    /// Whether a plain `<<` stands where a key is due; then what follows is merged into the mapping.
    fn merge_begins(&mut self, line: usize) -> Result<bool, Problem> {
        let Some(Frame { open: Open::Mapping { key: key @ None, merges, lines, .. }, .. }) = self.stack.last_mut()
        else {
            return Ok(false);
        };
        if merges.is_some() {
            // Which of two merges wins differs between programs.
            let first = lines.get("<<").copied().unwrap_or(line);
            return Err(Problem::DuplicateKey { key: "<<".into(), first });
        }
        lines.insert("<<".into(), line);
        *key = Some(Key::Merge);
        Ok(true)
    }

    fn open(&mut self, open: Open, anchor: usize, line: usize) -> Result<(), Problem> {
        if let Some(Frame { open: Open::Mapping { key: None, .. }, .. }) = self.stack.last() {
            return Err(Problem::ComplexKey);
        }
        if self.stack.len() >= self.limits.depth {
            return Err(Problem::TooDeep { limit: self.limits.depth });
        }
        self.note_item(line);
        self.stack.push(Frame { open, anchor, line, weight: NODE_WEIGHT, height: 1 });
        Ok(())
    }

    /// Remembers where each entry of the document's `items` begins.
    fn note_item(&mut self, line: usize) {
        if let [Frame { open: Open::Mapping { key: Some(Key::Text(key)), .. }, .. }, Frame { open: Open::List(_), .. }] =
            self.stack.as_slice()
            && key == "items"
        {
            self.item_lines.push(line);
        }
    }

    fn close(&mut self) -> Result<(), Problem> {
        let Some(Frame { open, anchor, line, weight, height }) = self.stack.pop() else { return Ok(()) };
        let value = match open {
            Open::List(items) => Value::Array(items),
            Open::Mapping { mut entries, merges, .. } => {
                // The mapping's own keys win over merged ones wherever they stand, and an earlier source over a later one,
                // as the merge key is defined. (kubectl lets a merge win over keys above it.)
                for (key, value) in merges.into_iter().flatten().filter_map(into_mapping).flatten() {
                    entries.entry(key).or_insert(value);
                }
                Value::Object(entries)
            }
        };
        let node = Node { value, weight, height, line };
        self.anchor(anchor, &node)?;
        self.place_value(node)
    }

    fn anchor(&mut self, id: usize, node: &Node) -> Result<(), Problem> {
        if id != 0 {
            self.budget.alias(node.weight, self.limits)?;
            self.anchors.insert(id, (node.value.clone(), node.weight, node.height));
        }
        Ok(())
    }

    /// Puts a scalar or an alias where it belongs.
    fn place(&mut self, node: Node) -> Result<(), Problem> {
        if let Some(Frame { open: Open::Mapping { key: slot @ None, lines, .. }, weight, .. }) = self.stack.last_mut() {
            let key = match (scalar::key(&node.value), &node.value) {
                (Some(key), _) => key,
                (None, Value::Array(_) | Value::Object(_)) => return Err(Problem::ComplexKey),
                (None, other) => return Err(Problem::KeyNotText { key: other.to_string() }),
            };
            if let Some(first) = lines.insert(key.clone(), node.line) {
                return Err(Problem::DuplicateKey { key, first });
            }
            *weight += node.weight;
            *slot = Some(Key::Text(key));
            return Ok(());
        }
        self.note_item(node.line);
        self.place_value(node)
    }

    fn place_value(&mut self, node: Node) -> Result<(), Problem> {
        let Some(frame) = self.stack.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        frame.weight += node.weight;
        frame.height = frame.height.max(node.height + 1);
        match &mut frame.open {
            Open::List(items) => items.push(node.value),
            Open::Mapping { entries, key, merges, .. } => match key.take() {
                Some(Key::Text(key)) => {
                    entries.insert(key, node.value);
                }
                Some(Key::Merge) => {
                    let sources = match node.value {
                        value @ Value::Object(_) => vec![value],
                        Value::Array(values) if values.iter().all(Value::is_object) => values,
                        _ => return Err(Problem::BadMerge),
                    };
                    *merges = Some(sources);
                }
                None => return Err(Problem::ComplexKey),
            },
        }
        Ok(())
    }
}

fn into_mapping(value: Value) -> Option<Map<String, Value>> {
    match value {
        Value::Object(entries) => Some(entries),
        _ => None,
    }
}

/// `!!int` for `tag:yaml.org,2002:int`; other tags as they are.
fn short(tag: &Tag) -> String {
    match (tag.handle(), tag.suffix()) {
        ("tag:yaml.org,2002:", suffix) => format!("!!{suffix}"),
        (handle, suffix) => match format!("{handle}{suffix}").strip_prefix("tag:yaml.org,2002:") {
            Some(suffix) => format!("!!{suffix}"),
            None => format!("{handle}{suffix}"),
        },
    }
}
