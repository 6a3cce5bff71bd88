//! Results to standard output, progress to standard error.

use std::io::Write as _;

use drover_core::render::Object;
use serde::Serialize;

use super::global::Format;
use super::{Error, yaml};

/// Prints to standard output.
pub fn print(text: &str) -> Result<(), Error> {
    let mut out = anstream::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(|source| Error::Io {
        what: "standard output".to_owned(),
        done: "written",
        source,
    })
}

/// Tells a person what is going on.
pub fn progress(sentence: &str) {
    anstream::eprintln!("{sentence}");
}

/// Tells a person what may go wrong.
pub fn warn(sentence: &str) {
    let style = anstyle::Style::new().fg_color(Some(anstyle::AnsiColor::Yellow.into())).bold();
    anstream::eprintln!("{style}warning:{style:#} {sentence}");
}

/// A result for programs.
pub fn structured<T: Serialize>(result: &T, format: Format) -> String {
    match format {
        Format::Yaml => yaml::document(result),
        Format::Json | Format::Text => {
            let mut text = serde_json::to_string_pretty(result).unwrap_or_default();
            text.push('\n');
            text
        }
    }
}

/// Objects as kubectl reads them: one YAML document each, or a JSON list; as text one line each.
pub fn objects(objects: &[Object], format: Format) -> String {
    match format {
        Format::Yaml => {
            let documents = objects.iter().map(|object| yaml::document(object.json()));
            documents.flat_map(|document| ["---\n".to_owned(), document]).collect()
        }
        Format::Json => {
            let items: Vec<_> = objects.iter().map(Object::json).collect();
            structured(&serde_json::json!({"apiVersion": "v1", "kind": "List", "items": items}), Format::Json)
        }
        Format::Text => objects.iter().flat_map(|object| [object.key().to_string(), "\n".to_owned()]).collect(),
    }
}
