//! The program `drover`.

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments == ["child", "git"] {
        return drover::git::child_main();
    }
    ExitCode::FAILURE
}
