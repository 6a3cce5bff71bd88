//! A child that becomes another program: `drover child tool PROGRAM ARGUMENT…`. That program may read what the system's own libraries are,
//! and write to its pipes; it has no other file, no network and no other process.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io::{self, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, ExitCode};

use drover_fetch::confine::{Limits, limit};
use landlock::{
    ABI, Access as _, AccessFs, BitFlags, PathBeneath, PathFd, Ruleset, RulesetAttr as _, RulesetCreatedAttr as _,
};
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, apply_filter};

/// How much a tool may use: it reads one file of a repository.
const LIMITS: Limits = Limits { memory: 256 << 20, file: 0, processor: 10 };
/// The code with which this ends where the tool could not be begun; `env` and `chroot` end so too.
const NOT_BEGUN: u8 = 126;
/// Where the libraries of a program are that is not whole in itself.
const LIBRARIES: [&str; 5] = ["/lib", "/lib64", "/usr/lib", "/usr/lib64", "/etc/ld.so.cache"];

/// The arguments with which drover becomes `program`, before that one's own.
pub fn tool(program: &Path) -> [&OsStr; 4] {
    [OsStr::new("child"), OsStr::new("tool"), OsStr::new("--"), program.as_os_str()]
}

/// The main function of `drover child tool`: it returns only where that fails.
pub fn become_tool(program: &Path, arguments: &[OsString]) -> ExitCode {
    let error = match confine(program) {
        // The environment is the one that the parent gave, which holds what the tool needs and nothing else.
        Ok(()) => Command::new(program).args(arguments).exec(),
        Err(error) => error,
    };
    let _ = writeln!(io::stderr(), "drover child tool: {}: {error}", program.display());
    ExitCode::from(NOT_BEGUN)
}

fn confine(program: &Path) -> io::Result<()> {
    limit(&LIMITS)?;
    without_files(program).map_err(io::Error::other)?;
    without_network()
}

/// Nothing of the file system, except the program and its libraries, where the kernel can keep a process from it. Where it cannot, the
/// limits stand, and that nothing is written.
fn without_files(program: &Path) -> Result<(), landlock::RulesetError> {
    let abi = ABI::V4;
    let to_run: BitFlags<AccessFs> = AccessFs::ReadFile | AccessFs::Execute;
    let mut rules = Ruleset::default().handle_access(AccessFs::from_all(abi))?.create()?;
    for path in std::iter::once(program).chain(LIBRARIES.iter().map(Path::new)) {
        // What is not there needs no rule.
        let Ok(opened) = PathFd::new(path) else { continue };
        let access = if path.is_dir() { to_run | AccessFs::ReadDir } else { to_run };
        rules = rules.add_rule(PathBeneath::new(opened, access))?;
    }
    rules.restrict_self()?;
    Ok(())
}

/// No socket, by whatever way, and no look into another process: each answers that it is not permitted.
fn without_network() -> io::Result<()> {
    let forbidden = [
        libc::SYS_socket,
        libc::SYS_socketpair,
        libc::SYS_io_uring_setup,
        libc::SYS_ptrace,
        libc::SYS_process_vm_readv,
        libc::SYS_process_vm_writev,
        libc::SYS_pidfd_getfd,
        libc::SYS_kill,
        libc::SYS_unshare,
        libc::SYS_setns,
    ];
    let rules: BTreeMap<i64, Vec<_>> = forbidden.into_iter().map(|call| (call, Vec::new())).collect();
    let not_permitted = SeccompAction::Errno(libc::EPERM.unsigned_abs());
    let machine = std::env::consts::ARCH.try_into().map_err(io::Error::other)?;
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, not_permitted, machine).map_err(io::Error::other)?;
    let program: BpfProgram = filter.try_into().map_err(io::Error::other)?;
    apply_filter(&program).map_err(io::Error::other)
}
