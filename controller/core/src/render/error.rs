//! Why a commit cannot be rendered, with file and line.

use drover_crds::ANNOTATION_GENERATE;

use super::{NotAnObject, ObjectKey, Origin};

/// A text from outside as it may stand in a sentence: on one line, without what moves a terminal's cursor, and not longer than
/// anybody reads.
pub fn short(text: &str) -> String {
    const MOST: usize = 100;
    let plain = |c: char| if c.is_control() { c.escape_default().to_string() } else { c.to_string() };
    let mut shown: String = text.chars().take(MOST).map(plain).collect();
    if text.chars().nth(MOST).is_some() {
        shown.push('…');
    }
    shown
}

/// Names as they stand in a sentence: at most ten of them, and how many more there are.
pub fn named<'a>(names: impl ExactSizeIterator<Item = &'a str>) -> String {
    const MOST: usize = 10;
    let all = names.len();
    let shown = names.take(MOST).collect::<Vec<_>>().join(", ");
    match all {
        0 => "none".to_owned(),
        _ if all > MOST => format!("{shown} and {} more", all - MOST),
        _ => shown,
    }
}

/// A number of bytes as a person reads it. It never looks smaller than a limit that it exceeds.
pub fn amount(bytes: u64) -> String {
    const KIB: u64 = 1 << 10;
    const MIB: u64 = 1 << 20;
    let rounded = |unit: u64, name: &str| {
        let tenths = bytes.saturating_mul(10).div_ceil(unit);
        match (tenths / 10, tenths % 10) {
            (whole, 0) => format!("{whole} {name}"),
            (whole, tenth) => format!("{whole}.{tenth} {name}"),
        }
    };
    match bytes {
        0..10_000 => format!("{bytes} bytes"),
        10_000..MIB => rounded(KIB, "KiB"),
        _ => rounded(MIB, "MiB"),
    }
}

/// One thing that is wrong with a file of the commit. Its text is one sentence that begins with `file:line`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{origin}: {problem}")]
pub struct RenderError {
    /// Where: the line is counted in the file, not in the document.
    pub origin: Origin,
    /// What.
    pub problem: Problem,
}

impl RenderError {
    pub(super) fn new(file: &str, line: usize, problem: Problem) -> Self {
        Self { origin: Origin { file: file.to_owned(), line }, problem }
    }
}

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// Some other encoding, or not text at all.
    #[error("the file is not UTF-8 text: save it as UTF-8")]
    NotUtf8,
    /// More than [`super::Limits::documents`].
    #[error("the commit has more than {limit} objects: spread them over several Environments")]
    TooManyDocuments {
        /// The limit.
        limit: usize,
    },
    /// The YAML reader stopped.
    #[error("{}{hint}", short(.what))]
    Syntax {
        /// In the reader's words.
        what: String,
        /// What it most often means; begins with `: ` or is empty.
        hint: &'static str,
    },
    /// More than [`super::Limits::depth`].
    #[error("lists and mappings are nested more than {limit} deep here: no Kubernetes object needs that")]
    TooDeep {
        /// The limit.
        limit: usize,
    },
    /// More than [`super::Limits::values`].
    #[error(
        "the commit has more than {limit} values, which no system's manifests have: spread it over several Environments"
    )]
    TooManyValues {
        /// The limit.
        limit: usize,
    },
    /// More than [`super::Limits::alias_bytes`].
    #[error("aliases (`*name`) expand to more than {limit} bytes here: write the values out, or use fewer aliases")]
    AliasBomb {
        /// The limit.
        limit: usize,
    },
    /// `&a [*a]`.
    #[error("an alias stands inside the very value that it repeats: no value can contain itself")]
    AliasInsideItself,
    /// The same key twice in one mapping.
    #[error("the key `{}` is written twice in this mapping, first in line {first}: keep one of them", short(.key))]
    DuplicateKey {
        /// The key as text.
        key: String,
        /// Line of the first.
        first: usize,
    },
    /// A mapping or a list as key, most often an unquoted template.
    #[error(
        "a mapping or a list cannot be a key: put a text that begins with `{{` or `[` in quotes (templates such as \
         `{{{{ … }}}}` are not filled in here)"
    )]
    ComplexKey,
    /// `null` or a number that no two programs write alike, as key.
    #[error("`{}` cannot be a key: put it in quotes", short(.key))]
    KeyNotText {
        /// The key as written.
        key: String,
    },
    /// `<<` with something that cannot be merged.
    #[error(
        "`<<` merges a mapping or a list of mappings, and this is neither: name an anchored mapping, as in `<<: *base`"
    )]
    BadMerge,
    /// A value that its explicit tag does not allow, or that JSON does not have.
    #[error("{0}")]
    Scalar(String),
    /// A form of a variable that drover does not fill in.
    #[error(
        "`{text}` is no variable that drover fills in: write ${{NAME}}, with letters, digits and _, or $${{ for the text ${{ itself"
    )]
    NoVariable {
        /// How it begins.
        text: String,
    },
    /// A variable that the Environment does not have.
    #[error(
        "${{{name}}} names no variable of this Environment, which has {known}: add it to spec.substitute or to what spec.substituteFrom names, or write $${{{name}}} for the text itself"
    )]
    UnknownVariable {
        /// Its name.
        name: String,
        /// The names that it has.
        known: String,
    },
    /// The document is not a Kubernetes object.
    #[error("this is not a Kubernetes object: {0}")]
    NotAnObject(#[from] NotAnObject),
    /// `metadata.generateName` without a name.
    #[error("{} has metadata.generateName and no name: objects in git need a fixed metadata.name", short(.kind))]
    GenerateName {
        /// Its kind.
        kind: String,
    },
    /// A label, an annotation or a Secret's value that is not text; the API server would refuse the whole object.
    #[error("{map}.{} of {} is {found}, and must be text: put the value in quotes", short(.key), short(&.object.to_string()))]
    NotText {
        /// `metadata.labels`, `metadata.annotations` or `stringData`.
        map: &'static str,
        /// The key.
        key: String,
        /// Which object.
        object: Box<ObjectKey>,
        /// What it is instead.
        found: &'static str,
    },
    /// Keys that cannot be filled with random values.
    #[error("the annotation {ANNOTATION_GENERATE} of {} {what}", short(&.object.to_string()))]
    Ungenerable {
        /// Which object.
        object: Box<ObjectKey>,
        /// What is wrong with what is asked, and what to do.
        what: String,
    },
    /// What only a person may ask for.
    #[error("the annotation {annotation} of {} is a person's word and not git's: remove it, and use `{command}`", short(&.object.to_string()))]
    OfAPerson {
        /// Which object.
        object: Box<ObjectKey>,
        /// The annotation.
        annotation: &'static str,
        /// What writes it.
        command: &'static str,
    },
    /// A field of one of drover's own objects that its schema does not have, or not so.
    #[error("{field} of {} {what}", short(&.object.to_string()))]
    Misfit {
        /// Which object.
        object: Box<ObjectKey>,
        /// The path of the field.
        field: String,
        /// What is wrong with it, and what to do.
        what: String,
    },
    /// A kustomization.
    #[error(
        "this is a kustomization, which is not built here: commit what `kustomize build` prints, or set spec.source.path to \
         a folder of plain manifests"
    )]
    Kustomization,
    /// A chart.
    #[error(
        "this is a Helm chart, which is not rendered here: commit what `helm template` prints, or set spec.source.path to \
         a folder of plain manifests"
    )]
    Chart,
    /// An encrypted file, and nothing to decrypt it with.
    #[error(
        "this file is encrypted with SOPS, and there is no key for it: applying it would store the encrypted text, so nothing \
         is applied; put an age key into a Secret and name that in the Environment's spec.decryption.secretRef"
    )]
    Encrypted,
    /// A file that something else than an age key may decrypt.
    #[error(
        "this file is encrypted for {service}, and drover decrypts with age keys alone: leave only age recipients in .sops.yaml, and run `sops updatekeys` on the file"
    )]
    ForeignKeys {
        /// The key service.
        service: String,
    },
    /// An encrypted file that was not decrypted.
    #[error("this file cannot be decrypted: {what}")]
    Undecrypted {
        /// Why, and what to do.
        what: String,
    },
    /// What SOPS encrypted where nothing tells how to decrypt it.
    #[error(
        "{} of {} is what SOPS encrypted, and its file has no `sops` block at the top of this document to decrypt it by: write the value anew, and encrypt the whole file",
        short(.field),
        short(&.object.to_string())
    )]
    LeftEncrypted {
        /// The path of the field.
        field: String,
        /// Which object.
        object: Box<ObjectKey>,
    },
    /// The same object twice.
    #[error("{} is already defined in {first}: remove one of the two", short(&.object.to_string()))]
    Twice {
        /// Which.
        object: Box<ObjectKey>,
        /// The other place.
        first: Origin,
    },
}
