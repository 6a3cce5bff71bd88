//! The image of fronts in the testbed's registry: this machine's nginx, and the libraries that it names.

use std::path::Path;
use std::process::Command;

use crate::command::run;
use crate::pushed::Pushed;
use crate::testbed::{Testbed, cluster};

/// Where the image is, whether it was pushed or not.
pub(crate) fn name(bed: &Testbed) -> String {
    format!("{}/nginx:1", bed.registry())
}

/// The image, pushed to the registry of that testbed at the first call.
pub fn image(bed: &Testbed) -> String {
    static PUSHED: Pushed = Pushed::nowhere();
    let name = name(bed);
    PUSHED.to(bed, || {
        let program = ["/usr/sbin/nginx", "/usr/bin/nginx"].into_iter().find(|path| Path::new(path).exists());
        let program = program.expect("nginx is installed by `make setup`");
        let libraries = run(Command::new("ldd").arg(program));
        let paths = libraries.split_whitespace().filter(|word| word.starts_with('/'));
        // A library's name is a link to it.
        let file = |path| std::fs::canonicalize(path).expect("ldd names what is there");
        let files: Vec<String> = paths.map(|path| format!("{}:{path}", file(path).display())).collect();
        let files: Vec<&str> = files.iter().map(String::as_str).collect();
        let program = format!("{program}:/usr/sbin/nginx");
        cluster(bed.number(), &[&["image", &name, "--push", &program], &*files].concat());
    });
    name
}
