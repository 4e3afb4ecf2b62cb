//! Real PostgreSQL servers, each with a folder and a port of its own.

mod programs;
mod signals;

use std::fs::Permissions;
use std::io::Write as _;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::process::{Signal, geteuid};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};
use tempfile::TempDir;
use tokio::sync::OnceCell;

use self::programs::Programs;
use crate::eventually;

/// The user and group that a server runs as where the tests are root's: PostgreSQL refuses root.
const NOBODY: u32 = 65_534;

/// The user of each URL here; nobody asks it for a password.
pub const USER: &str = "faultline";

/// A user who is asked for a password, [`PASSWORD`].
pub const ASKED: &str = "asked";

/// The password of [`ASKED`].
pub const PASSWORD: &str = "s3cr3t+/@ word";

/// A server. It ends with the process that has started it, also when that is killed.
#[derive(Debug)]
pub struct Postgres {
    folder: TempDir,
    programs: Programs,
    address: SocketAddr,
    server: Option<Child>,
}

/// Runs the server until its own input says `keep`, or ends: then its folder goes, too. The server's processes have
/// groups of their own.
const HOLDER: &str = r#"
    folder=$1; shift
    exec 3<&0
    "$@" </dev/null >>"$folder/log" 2>&1 3<&- &
    server=$!
    {
        read -r word <&3
        kill -QUIT $server 2>/dev/null
        while kill -0 $server 2>/dev/null; do sleep 0.1; done
        [ "$word" = keep ] || rm -rf "$folder"
    } &
    wait $server
"#;

impl Postgres {
    /// Starts a server. None where PostgreSQL is not installed and cannot be: then the test is skipped, which is
    /// said where the person who runs the tests sees it.
    ///
    /// # Panics
    /// When PostgreSQL is there and does not start; where `CI` is set, also when it is not there.
    pub async fn start() -> Option<Self> {
        let programs = match Programs::find() {
            Ok(programs) => programs,
            Err(reason) => {
                assert!(std::env::var_os("CI").is_none(), "no PostgreSQL: {reason}");
                crate::disk::skipped(&format!("no PostgreSQL: {reason}"));
                return None;
            }
        };
        let folder = tempfile::tempdir().expect("there is room for a directory");
        own(folder.path());
        let port = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        let mut server = Self {
            folder,
            programs,
            address: port.expect("there is a free port"),
            server: None,
        };
        server.initialise();
        server.run().await;
        Some(server)
    }

    /// The server that the tests of one process share.
    pub async fn shared() -> Option<&'static Self> {
        static SHARED: OnceCell<Option<Postgres>> = OnceCell::const_new();
        SHARED.get_or_init(Self::start).await.as_ref()
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn initialise(&self) {
        let done = self
            .command("initdb")
            .arg("--pgdata")
            .arg(self.data())
            .args(["--username", USER, "--auth", "trust", "--encoding", "UTF8"])
            .args(["--no-locale", "--no-sync"])
            .output()
            .expect("initdb can be run");
        assert!(done.status.success(), "{done:?}");
        let asked = format!(
            "host all {ASKED} all scram-sha-256\nhost all all all trust\nlocal all all trust\n"
        );
        std::fs::write(self.data().join("pg_hba.conf"), asked).expect("it can be written");
    }

    /// Starts it where it was.
    pub async fn run(&mut self) {
        let mut postgres = self.command("postgres");
        postgres
            .arg("-D")
            .arg(self.data())
            .args(["-p", &self.address.port().to_string(), "-k", ""])
            .args(["-c", "listen_addresses=127.0.0.1"])
            .args(["-c", "max_connections=300"])
            .args(["-c", "log_min_messages=warning"]);
        let mut holder = unprivileged("sh");
        holder
            .args(["-c", HOLDER, "sh"])
            .arg(self.folder.path())
            .arg(postgres.get_program())
            .args(postgres.get_args())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        for (name, value) in postgres.get_envs() {
            holder.env(name, value.unwrap_or_default());
        }
        self.server = Some(holder.spawn().expect("sh can be run"));
        eventually("PostgreSQL takes connections", async || {
            let holder = self.server.as_mut()?;
            let ended = holder.try_wait().expect("a child has a status");
            assert!(ended.is_none(), "it ended: {}", self.log());
            self.connect("postgres").await.ok()
        })
        .await;
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    fn command(&self, program: &str) -> Command {
        let mut command = unprivileged(self.programs.path(program));
        self.programs.environment(&mut command);
        command
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// A connection to one of its databases.
    ///
    /// # Errors
    /// The server's.
    pub async fn connect(&self, database: &str) -> Result<PgConnection, sqlx::Error> {
        let options = PgConnectOptions::new_without_pgpass()
            .host("127.0.0.1")
            .port(self.address.port())
            .username(USER)
            .database(database);
        options.disable_statement_logging().connect().await
    }

    /// Runs statements in one of its databases.
    ///
    /// # Panics
    /// When the server refuses.
    pub async fn execute(&self, database: &str, sql: &str) {
        let mut connection = self.connect(database).await.expect("the server is there");
        let done = sqlx::raw_sql(AssertSqlSafe(sql.to_owned()));
        let done = done.execute(&mut connection).await;
        done.unwrap_or_else(|error| panic!("{sql}: {error}"));
        let _ = connection.close().await;
    }

    /// Makes a database and returns its name.
    pub async fn database(&self) -> String {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let name = format!("test_{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        self.execute("postgres", &format!("CREATE DATABASE {name}"))
            .await;
        name
    }

    /// The URL of a database.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://{USER}@{}/{database}", self.address)
    }

    /// From now on it offers TLS with this certificate and key, in PEM.
    pub async fn encrypt(&self, certificate: &str, key: &str) {
        for (name, text) in [("server.crt", certificate), ("server.key", key)] {
            let file = self.data().join(name);
            std::fs::write(&file, text).expect("it can be written");
            std::fs::set_permissions(&file, Permissions::from_mode(0o600))
                .expect("it is the test's own");
            own(&file);
        }
        let statements = ["ALTER SYSTEM SET ssl = on", "SELECT pg_reload_conf()"];
        for statement in statements {
            self.execute("postgres", statement).await;
        }
        eventually("TLS is on", async || {
            let mut connection = self.connect("postgres").await.ok()?;
            let ssl: String = sqlx::query_scalar("SHOW ssl")
                .fetch_one(&mut connection)
                .await
                .ok()?;
            (ssl == "on").then_some(())
        })
        .await;
    }

    /// The process that the others of the server come from; none when it is not there.
    fn pid(&self) -> Option<u32> {
        let file = std::fs::read_to_string(self.data().join("postmaster.pid")).ok()?;
        file.lines().next()?.parse().ok()
    }

    /// Ends it as `kill -9` of all its processes does.
    pub async fn kill(&mut self) {
        self.signal(Signal::KILL);
        self.stop().await;
    }

    /// Ends it at once, and waits until it has. What was committed is there when it runs again.
    pub async fn stop(&mut self) {
        if let Some(mut holder) = self.server.take() {
            if let Some(mut input) = holder.stdin.take() {
                // One that has ended reads no more.
                let _ = input.write_all(b"keep\n");
            }
            let ended = tokio::task::spawn_blocking(move || holder.wait());
            let ended = ended.await.expect("waiting does not panic");
            ended.expect("a child has a status");
        }
    }

    /// Sends a signal to all its processes.
    pub fn signal(&self, signal: Signal) {
        if let Some(pid) = self.pid() {
            signals::send_to_all(pid, signal);
        }
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.signal(Signal::CONT);
        if let Some(mut holder) = self.server.take() {
            drop(holder.stdin.take());
            let _ = holder.wait();
        }
    }
}

fn own(path: &Path) {
    if geteuid().is_root() {
        chown(path, Some(NOBODY), Some(NOBODY)).expect("root gives its files away");
    }
}

fn unprivileged(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new(program);
    command.current_dir("/");
    if geteuid().is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    command
}
