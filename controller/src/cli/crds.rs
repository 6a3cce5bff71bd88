//! `drover crds`: the custom resource definitions.

use std::path::PathBuf;

use clap::Args;
use drover_core::render::Object;

use super::global::{Format, Global};
use super::{Error, Verdict, output};

/// Prints the custom resource definitions, for `drover crds | kubectl apply -f -`.
///
/// The text is the same each time, so that it can be kept in git.
#[derive(Debug, Args)]
pub struct Crds {
    /// Print nothing; end with exit code 1 when FILE is not what would be printed.
    #[arg(long, value_name = "FILE")]
    check: Option<PathBuf>,
}

/// Runs the command.
pub fn run(command: &Crds, global: &Global) -> Result<Verdict, Error> {
    match &command.check {
        None => output::print(&text(global.output))?,
        Some(path) => {
            let found = std::fs::read_to_string(path).map_err(|source| Error::Io {
                what: path.display().to_string(),
                done: "read",
                source,
            })?;
            if let Some(line) = first_difference(&found, &text(global.output)) {
                return Err(Error::Outdated { path: path.clone(), line });
            }
        }
    }
    Ok(Verdict::Good)
}

/// All definitions; as YAML unless JSON is asked for.
fn text(format: Format) -> String {
    let format = if format == Format::Json { Format::Json } else { Format::Yaml };
    let definitions: Vec<Object> = drover_crds::all().iter().map(Object::built).collect();
    output::objects(&definitions, format)
}

/// The first line that differs, counted from 1.
fn first_difference(found: &str, wanted: &str) -> Option<usize> {
    if found == wanted {
        return None;
    }
    let same = found.split_inclusive('\n').zip(wanted.split_inclusive('\n')).take_while(|(a, b)| a == b).count();
    Some(same + 1)
}

#[cfg(test)]
mod tests {
    use drover_core::render::{Limits, SourceFile, render};

    use super::*;
    use crate::cli::yaml;

    #[test]
    fn what_is_printed_is_read_back_as_the_same_definitions() {
        let text = text(Format::Text);
        let file = SourceFile { path: "crds.yaml".to_owned(), bytes: text.clone().into_bytes() };
        let objects = render(&[file], &Limits::default()).expect("valid YAML");
        let built: Vec<Object> = drover_crds::all().iter().map(Object::built).collect();
        assert_eq!(objects.len(), built.len());
        for (read, built) in objects.iter().zip(&built) {
            assert_eq!(yaml::document(read.json()), yaml::document(built.json()), "{}", built.name());
            // `kubectl apply` keeps the whole object in an annotation of at most 256 KiB.
            assert!(serde_json::to_vec(built.json()).expect("JSON").len() < 256 << 10, "{}", built.name());
        }
        assert_eq!(text, super::text(Format::Text));
    }

    #[test]
    fn the_first_line_that_differs_is_told() {
        assert_eq!(first_difference("a\nb\n", "a\nb\n"), None);
        assert_eq!(first_difference("a\nb\n", "a\nc\n"), Some(2));
        assert_eq!(first_difference("a\n", "a\nb\n"), Some(2));
        assert_eq!(first_difference("", "a\n"), Some(1));
    }
}
