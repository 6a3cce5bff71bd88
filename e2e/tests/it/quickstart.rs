//! What the documentation tells a reader to type, typed.

use std::fs;
use std::process::Command;

use drover_e2e::{commands_of, finish, repository};

#[test]
fn the_commands_of_the_documentation_are_there_and_work() {
    let mut ran = 0;
    for page in ["README.md", "docs/src/quickstart.md"] {
        let text = fs::read_to_string(repository().join(page)).unwrap_or_else(|error| panic!("{page}: {error}"));
        for block in commands_of(&text, "sh test") {
            let mut shell = Command::new("bash");
            shell.args(["-euo", "pipefail", "-c", &block]).current_dir(repository());
            let finished = finish(&mut shell, "");
            assert_eq!(
                finished.code,
                0,
                "{page} tells a reader to type\n{block}\nand that fails:\n{}",
                finished.said()
            );
            ran += 1;
        }
    }
    assert!(ran > 0, "no block of the documentation is marked `sh test`");
}
