//! A MariaDB that the image's scripts start, with their paths in a folder of the test's.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use drover_core::backup::{BackupResult, Check};
use drover_core::engine::Engine;
use serde_json::json;

use super::super::super::errand::until;
use super::super::Backup;
use super::super::database::said;

pub const PASSWORD: &str = r#"p@ss'%\"word`of=app"#;

/// A server of its own, and a place for its backups.
pub struct Maria {
    pub backup: Backup,
    pub port: u16,
    pub user: Option<(u32, u32)>,
    pub checks: Vec<Check>,
    pub server: Option<Child>,
}

impl Maria {
    pub fn new(schema: &str) -> Self {
        let mut backup = Backup::new();
        backup.order["engine"] = json!("mariadb");
        let port = TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a port").port();
        // Debian's server-core brings no user of its own.
        let user = rustix::process::geteuid().is_root().then_some((65534, 65534));
        let mut maria = Self { backup, port, user, checks: Vec::new(), server: None };
        let folder = maria.backup.folder.path();
        fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).expect("our folder");
        for name in ["work", "data", "run", "etc", "scripts", "connection"] {
            let folder = folder.join(name);
            fs::create_dir_all(&folder).expect("a folder");
            maria.hand_over(&folder);
        }
        let own = Engine::Mariadb.own();
        for (name, script) in own.backs_up.iter().chain(own.restores) {
            fs::write(folder.join("scripts").join(name), script).expect("a script");
        }
        for (name, text) in own.serves {
            fs::write(folder.join("etc").join(name), maria.placed(text)).expect("a script");
        }
        for (name, text) in Engine::Mariadb.configuration(128 << 20, 128 << 20) {
            fs::write(folder.join("etc").join(name), maria.placed(&text)).expect("a configuration");
        }
        maria.set_password(PASSWORD);
        maria.start();
        maria.sql(schema);
        maria
    }

    /// Where the tests have what has its place in a pod.
    pub fn placed(&self, text: &str) -> String {
        let places = [
            ("/var/lib/drover", "data"),
            ("/run/drover", "run"),
            ("/etc/drover-connection", "connection"),
            ("/etc/drover", "etc"),
            ("/dev/termination-log", "work/told"),
        ];
        let here = places.iter().fold(text.to_owned(), |text, (there, place)| text.replace(there, &self.path(place)));
        here.replace("port = 3306", &format!("port = {}", self.port))
            .replace("= *", "= 127.0.0.1")
            .replace("tmpdir = /tmp\n", &format!("tmpdir = {}\n", self.path("run")))
    }

    pub fn hand_over(&self, path: &Path) {
        if let Some((user, group)) = self.user {
            chown(path, Some(user), Some(group)).expect("we are root");
        }
    }

    pub fn path(&self, name: &str) -> String {
        self.backup.path(name).display().to_string()
    }

    pub fn set_password(&self, password: &str) {
        fs::write(self.backup.path("connection/password"), password).expect("a password");
    }

    /// One of the server's programs, as somebody whom it runs for.
    pub fn program(&self, name: &str) -> Command {
        let mut command = match self.user {
            Some((user, group)) => {
                let mut command = Command::new("setpriv");
                command.args([format!("--reuid={user}"), format!("--regid={group}"), "--clear-groups".to_owned()]);
                command.arg(name);
                command
            }
            None => Command::new(name),
        };
        // Servers that share a folder for what is temporary remove each other's.
        command
            .current_dir("/")
            .env("TMPDIR", self.path("run"))
            .env("VERSION", "10.11")
            .env("MYSQL_TCP_PORT", self.port.to_string());
        command
    }

    pub fn starting(&self) -> Child {
        let mut command = self.program("sh");
        command.arg(self.path("etc/start.sh")).env("DATABASE", "app").env("OWNER", "app").process_group(0);
        let log = fs::File::options().append(true).create(true).open(self.backup.path("log")).expect("a log");
        command.stdout(Stdio::null()).stderr(log).spawn().expect("a shell")
    }

    pub fn is_ready(&self) -> bool {
        let mut ready = self.program("sh");
        ready.arg(self.path("etc/ready.sh")).env("DATABASE", "app").env("OWNER", "app");
        ready.output().expect("a shell").status.success()
    }

    pub fn start(&mut self) {
        self.server = Some(self.starting());
        until("the server answers", || {
            if let Ok(Some(status)) = self.server.as_mut().expect("a server").try_wait() {
                panic!("it ended: {status} {}", fs::read_to_string(self.backup.path("log")).unwrap_or_default());
            }
            self.is_ready()
        });
    }

    /// From one moment to the next.
    pub fn kill(&mut self) {
        if let Some(mut server) = self.server.take() {
            let group = rustix::process::Pid::from_child(&server);
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
            let _ = server.wait();
        }
    }

    /// As Kubernetes does.
    pub fn stop(&mut self) {
        let mut server = self.server.take().expect("a server");
        rustix::process::kill_process(rustix::process::Pid::from_child(&server), rustix::process::Signal::TERM)
            .expect("our child");
        assert!(server.wait().expect("it ends").success(), "it ended otherwise than told");
    }

    /// A client that logs in over the network, and gets statements by its input.
    pub fn client(&self, password: &str) -> Command {
        let mut client = self.program("mariadb");
        client.args(["--no-defaults", "--protocol=tcp", "--host=127.0.0.1", "--user=app", "--database=app"]);
        client.args(["--batch", "--skip-column-names", "--raw", "--default-character-set=utf8mb4"]);
        client.env("MYSQL_PWD", password);
        client
    }

    pub fn asked(&self, mut client: Command, sql: &str) -> Result<String, String> {
        let file = self.backup.path("asked.sql");
        fs::write(&file, sql).expect("statements");
        let output = client.stdin(fs::File::open(&file).expect("statements")).output().expect("mariadb");
        if output.status.success() {
            Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
        } else {
            Err(said(&output))
        }
    }

    /// Does as the app.
    pub fn sql(&self, sql: &str) -> String {
        self.asked(self.client(PASSWORD), sql).unwrap_or_else(|why| panic!("{sql}: {why}"))
    }

    /// Does as whoever runs the server, by its socket.
    pub fn admin(&self, socket: &str) -> Command {
        let mut client = self.program("mariadb");
        client.args(["--no-defaults", "--protocol=socket", "--batch", "--skip-column-names", "--raw"]);
        client.arg(format!("--socket={socket}")).arg(format!("--user={}", self.who_runs_it()));
        client
    }

    pub fn who_runs_it(&self) -> String {
        let output = self.program("id").arg("-un").output().expect("id");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    pub fn as_admin(&self, sql: &str) -> String {
        self.asked(self.admin(&self.path("run/server.sock")), sql).unwrap_or_else(|why| panic!("{sql}: {why}"))
    }

    pub fn script(&self, name: &str) -> Command {
        let mut command = self.program("sh");
        command.arg(self.path(&format!("scripts/{name}")));
        command.env("WORK", self.path("work")).env("SCRIPTS", self.path("scripts"));
        command.env("RESULT", self.path("work/told"));
        command
    }

    pub fn dumping(&self, password: &str) -> Command {
        let mut command = self.script("dump.sh");
        let values = ["127.0.0.1", &self.port.to_string(), "app", "app", password];
        command.envs(Engine::Mariadb.own().variables.into_iter().zip(values));
        command
    }

    pub fn dump(&self) {
        // In a pod all is of one user's; here the errands are root's.
        let _ = fs::remove_dir_all(self.path("work/restored"));
        let output = self.dumping(PASSWORD).output().expect("a shell");
        assert!(output.status.success(), "{}", said(&output));
    }

    /// Stores what was dumped, and proves it.
    pub fn store_and_prove(&mut self) -> BackupResult {
        self.backup.order["checks"] = json!(self.checks);
        if let Some(result) = self.backup.run("backup-store") {
            panic!("not stored: {}", result.message);
        }
        for (at, check) in self.checks.iter().enumerate() {
            let text = Engine::Mariadb.check_script(&check.query);
            fs::write(self.path(&format!("scripts/check-{at}.sql")), text).expect("a check");
        }
        let output = self.script("prove.sh").output().expect("a shell");
        assert!(output.status.success(), "{}", said(&output));
        assert!(!Path::new(&self.path("work/server")).exists(), "the server for the proof is thrown away");
        self.backup.conclude()
    }

    pub fn back_up(&mut self) -> BackupResult {
        self.dump();
        self.store_and_prove()
    }

    pub fn dumped(&self) -> PathBuf {
        self.backup.path("work/dump/dump.sql")
    }

    pub fn told(&self) -> String {
        fs::read_to_string(self.backup.path("work/told")).expect("a sentence")
    }

    /// Writes the dump otherwise.
    pub fn change(&self, change: impl FnOnce(&str) -> String) {
        let text = fs::read_to_string(self.dumped()).expect("a dump");
        let other = change(&text);
        assert_ne!(text, other);
        fs::write(self.dumped(), other).expect("a dump");
    }
}

impl Drop for Maria {
    fn drop(&mut self) {
        self.kill();
    }
}
