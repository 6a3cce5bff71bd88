//! A web server that other people keep data on: Debian's nginx, which names each content by an ETag.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::testbed::Testbed;

/// A running nginx with files of the test's own; it ends with the test.
pub struct DataServer {
    nginx: Child,
    folder: PathBuf,
    address: String,
}

impl DataServer {
    /// Serves nothing yet, where the pods of the shared testbed reach it.
    pub fn start(name: &str) -> Self {
        Self::beside(Testbed::shared(), name)
    }

    /// The same for another testbed.
    pub fn beside(bed: &Testbed, name: &str) -> Self {
        let folder = bed.state().join(format!("data-{name}-{}", std::process::id()));
        fs::create_dir_all(folder.join("files")).expect("the testbed's folder is ours to write");
        let port = free_port(bed.host_ip());
        let address = format!("{}:{port}", bed.host_ip());
        let at = folder.display();
        let settings = format!(
            // One process: a worker would outlive its master, and hold open whatever reads the tests' output.
            "daemon off; master_process off; pid {at}/pid; error_log {at}/error.log; worker_processes 1;\n\
             events {{}}\n\
             http {{\n\
             include /etc/nginx/mime.types; types {{ text/csv csv; }} access_log {at}/access.log;\n\
             client_body_temp_path {at}/body; proxy_temp_path {at}/proxy; fastcgi_temp_path {at}/fastcgi;\n\
             uwsgi_temp_path {at}/uwsgi; scgi_temp_path {at}/scgi;\n\
             server {{ listen {address}; root {at}/files; }}\n\
             }}\n"
        );
        fs::write(folder.join("nginx.conf"), settings).expect("the folder is ours");
        let nginx = Command::new("nginx")
            .arg("-p")
            .arg(&folder)
            .arg("-c")
            .arg(folder.join("nginx.conf"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("nginx is installed by `make setup`");
        Self { nginx, folder, address }
    }

    /// The address of one of its files.
    pub fn url(&self, name: &str) -> String {
        format!("http://{}/{name}", self.address)
    }

    /// Puts a file there, or another in its place.
    pub fn put(&self, name: &str, text: &str) {
        let files = self.folder.join("files");
        let staged = self.folder.join("staged");
        fs::write(&staged, text).expect("the folder is ours");
        // nginx's workers are nobody's.
        readable(&staged);
        fs::rename(&staged, files.join(name)).expect("the folder is ours");
    }

    /// Takes a file away: from now on it answers 404 for it.
    pub fn remove(&self, name: &str) {
        fs::remove_file(self.folder.join("files").join(name)).expect("it was put there");
    }

    /// How often it was asked, and what it answered.
    pub fn answers(&self) -> Vec<u16> {
        let log = fs::read_to_string(self.folder.join("access.log")).unwrap_or_default();
        log.lines().filter_map(|line| line.split('"').nth(2)?.split_whitespace().next()?.parse().ok()).collect()
    }
}

impl Drop for DataServer {
    fn drop(&mut self) {
        let _ = self.nginx.kill();
        let _ = self.nginx.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn readable(path: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(path, fs::Permissions::from_mode(0o644)).expect("it was just written");
}

fn free_port(address: &str) -> u16 {
    let listener = std::net::TcpListener::bind((address, 0)).expect("the machine's address on the testbed's cable");
    listener.local_addr().expect("it listens").port()
}
