//! The errand `await-databases`: it ends when each of them takes a connection.

use std::io;
use std::str::FromStr;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

/// How long is waited between two tries.
const PAUSE: Duration = Duration::from_millis(500);
/// How long one try may take: a network that swallows packets answers nothing.
const TRY: Duration = Duration::from_secs(5);

/// A database, `NAME=HOST:PORT` in text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    name: String,
    address: String,
}

impl FromStr for Server {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, address) = text.split_once('=').ok_or("it is written NAME=HOST:PORT")?;
        let port = address.rsplit_once(':').map(|(_, port)| port).ok_or("it is written NAME=HOST:PORT")?;
        port.parse::<u16>().map_err(|_| "its port is a number up to 65535")?;
        Ok(Self { name: name.to_owned(), address: address.to_owned() })
    }
}

/// Waits until each of `servers` takes a connection.
///
/// # Errors
/// Which one took none until so long after the beginning, and why, in one sentence.
pub async fn reached(servers: &[Server], within: Duration) -> Result<(), String> {
    let begun = Instant::now();
    for Server { name, address } in servers {
        let mut told = false;
        while let Err(error) = connect(address).await {
            if !told {
                tracing::info!(database = name, address, %error, "waiting for the database");
                told = true;
            }
            if begun.elapsed() >= within {
                let seconds = within.as_secs();
                return Err(format!(
                    "Database {name} took no connection at {address} within {seconds} s ({error}), and the job did not begin: `kubectl describe database {name}` says what it waits for"
                ));
            }
            sleep(PAUSE).await;
        }
    }
    Ok(())
}

async fn connect(address: &str) -> io::Result<()> {
    timeout(TRY, TcpStream::connect(address)).await.map_err(|_| io::ErrorKind::TimedOut)??;
    Ok(())
}
