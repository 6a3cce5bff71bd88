//! The errand `await-databases`.

use std::net::TcpListener;
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::Duration;

fn waiting(seconds: &str, servers: &[String]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_drover-errands"));
    command.args(["await-databases", "--within-seconds", seconds]).args(servers);
    command
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A port that nobody listens on.
fn port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a port").port()
}

#[test]
fn each_database_is_waited_for() {
    let there = TcpListener::bind("127.0.0.1:0").expect("a port");
    let (first, later) = (there.local_addr().expect("an address").port(), port());
    let servers = [format!("db=localhost:{first}"), format!("old-db=127.0.0.1:{later}")];
    let mut child = waiting("60", &servers).stderr(Stdio::piped()).spawn().expect("it starts");
    thread::sleep(Duration::from_millis(300));
    assert!(child.try_wait().expect("a child").is_none(), "it does not wait for the second");
    let _server = TcpListener::bind(("127.0.0.1", later)).expect("still nobody's");
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success(), "{}", said(&output));
    assert!(said(&output).contains("old-db"), "{}", said(&output));
}

#[test]
fn one_that_takes_no_connection_is_named() {
    let port = port();
    let output = waiting("0", &[format!("db=127.0.0.1:{port}")]).output().expect("it starts");
    assert!(!output.status.success());
    let sentence = format!("error: Database db took no connection at 127.0.0.1:{port} within 0 s (Connection refused");
    assert!(said(&output).contains(&sentence), "{}", said(&output));
}

#[test]
fn what_is_no_server_is_refused() {
    for text in ["db", "db=localhost", "db=localhost:five"] {
        let output = waiting("1", &[text.to_owned()]).output().expect("it starts");
        assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    }
}
