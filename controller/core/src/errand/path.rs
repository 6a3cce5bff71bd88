//! What a path in a set may be.

/// The longest name that Linux' file systems take, in bytes.
const LONGEST_NAME: usize = 255;

/// The longest path in a set, in bytes, so that there is room before it where the claim is mounted.
const LONGEST_PATH: usize = 2048;

/// Names at the top of a claim that are not the source's.
const RESERVED: [&str; 2] = [".drover", "lost+found"];

/// Whether a set can hold a file at this path; else why not, to be put behind its name.
pub fn check_path(path: &str) -> Result<(), &'static str> {
    check_names(path)?;
    match path.split('/').next() {
        Some(first) if RESERVED.contains(&first) => Err("begins with a name that is kept for the volume"),
        _ => Ok(()),
    }
}

/// Whether a file system can hold it below some folder.
pub fn check_names(path: &str) -> Result<(), &'static str> {
    if path.len() > LONGEST_PATH {
        return Err("is longer than a path may be");
    }
    for (at, name) in path.split('/').enumerate() {
        match name {
            "" if at == 0 => return Err("begins with a slash"),
            "" => return Err("has two slashes in a row"),
            "." | ".." => return Err("has `.` or `..` for a folder"),
            _ if name.len() > LONGEST_NAME => return Err("has a part that is longer than 255 bytes"),
            _ if name.contains(char::is_control) => return Err("has a control character"),
            _ => {}
        }
    }
    Ok(())
}
