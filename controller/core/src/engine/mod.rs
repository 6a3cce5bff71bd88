//! What is a kind of server's own: its names, how it is configured, the scripts that start, dump and load it, and what its programs say. What is
//! the same for all stands beside their folders.

mod mariadb;
mod own;
mod postgres;
#[cfg(test)]
mod tests;

pub use own::{Own, Script};
use serde::{Deserialize, Serialize};

/// The dump, in its folder and in a backup.
pub const DUMP_FILE: &str = "dump.sql";
/// What was in the database, beside it.
pub const FACTS_FILE: &str = "facts";

/// A kind of server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Engine {
    /// PostgreSQL.
    #[default]
    Postgres,
    /// MariaDB.
    Mariadb,
}

impl Engine {
    /// What is its own.
    pub const fn own(self) -> &'static Own {
        match self {
            Self::Postgres => &postgres::OWN,
            Self::Mariadb => &mariadb::OWN,
        }
    }

    /// Whether an order need not name it.
    #[allow(clippy::trivially_copy_pass_by_ref)] // as serde asks
    pub(crate) fn is_first(&self) -> bool {
        *self == Self::default()
    }

    /// The files that configure a server of so much memory, on a volume of so much room, in bytes.
    pub fn configuration(self, memory: i64, storage: i64) -> Vec<(&'static str, String)> {
        match self {
            Self::Postgres => postgres::configuration(memory, storage),
            Self::Mariadb => mariadb::configuration(memory, storage),
        }
    }

    /// What the script that dumps is told beside the database, where the Database has that uid.
    pub fn dumps_with(self, uid: &str) -> Option<(&'static str, String)> {
        match self {
            Self::Postgres => Some(("RESTRICT_KEY", postgres::restrict_key(uid))),
            Self::Mariadb => None,
        }
    }

    /// What is asked for a check: one number comes of it.
    pub fn check_script(self, query: &str) -> String {
        let query = query.trim().trim_end_matches(';');
        match self {
            Self::Postgres => format!("set statement_timeout = '10min';\nselect ({query}\n)::numeric;\n"),
            Self::Mariadb => format!("set max_statement_time = 600;\nselect ({query}\n);\n"),
        }
    }

    /// What its client said first that ended it, and at which line of its file.
    pub fn first_error(self, said: &str) -> (Option<u64>, String) {
        match self {
            Self::Postgres => postgres::first_error(said),
            Self::Mariadb => mariadb::first_error(said),
        }
    }

    /// What follows in a dump, where a line says so.
    pub fn entry(self, line: &str) -> Option<String> {
        match self {
            Self::Postgres => postgres::entry(line),
            Self::Mariadb => mariadb::entry(line),
        }
    }
}
