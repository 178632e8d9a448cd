//! Runs hub and feeder as processes that can be killed and restarted.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Read as _, Seek as _, SeekFrom};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

/// How long a process may take to start, to exit, or to respond. The machine may be busy.
const TIMEOUT: Duration = Duration::from_secs(60);
/// Interval at which a process is polled for its exit.
const POLL_INTERVAL: Duration = Duration::from_millis(10);
/// How much of the end of its log is shown when a process fails.
const LOG_TAIL_BYTES: u64 = 2_000;

/// A child process, killed when this value is dropped.
#[derive(Debug)]
struct Process {
    name: &'static str,
    child: Child,
    log: PathBuf,
}

impl Process {
    fn start(name: &'static str, mut command: Command, log: PathBuf) -> Result<Self> {
        let stderr = OpenOptions::new().create(true).append(true).open(&log)?;
        let child = command
            .stdin(Stdio::null())
            .stderr(stderr)
            .spawn()
            .with_context(|| format!("cannot start the {name}: {command:?}"))?;
        Ok(Self { name, child, log })
    }

    /// Sends SIGKILL and waits for the exit.
    fn kill(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Sends SIGTERM and waits for the exit, which must be successful.
    async fn terminate(&mut self) -> Result<()> {
        let sent = Command::new("kill").arg("-TERM").arg(self.child.id().to_string()).status()?;
        ensure!(sent.success(), "kill -TERM of the {} failed", self.name);
        let exited = timeout(TIMEOUT, async {
            loop {
                match self.child.try_wait() {
                    Ok(Some(status)) => return Ok(status),
                    Ok(None) => sleep(POLL_INTERVAL).await,
                    Err(error) => return Err(error),
                }
            }
        });
        let status = exited.await.with_context(|| {
            format!("the {} did not exit within {TIMEOUT:?} of SIGTERM", self.name)
        })??;
        ensure!(status.success(), "{}", self.exit_message(status));
        Ok(())
    }

    /// Returns an error message if the process has exited.
    fn unexpected_exit(&mut self) -> Option<String> {
        self.child.try_wait().ok().flatten().map(|status| self.exit_message(status))
    }

    fn exit_message(&self, status: ExitStatus) -> String {
        format!("the {} exited with {status}; end of its log:\n{}", self.name, tail(&self.log))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _exited_already = self.kill();
    }
}

fn tail(log: &Path) -> String {
    let read = || -> io::Result<String> {
        let mut file = File::open(log)?;
        let len = file.metadata()?.len();
        file.seek(SeekFrom::Start(len.saturating_sub(LOG_TAIL_BYTES)))?;
        let mut text = Vec::new();
        file.read_to_end(&mut text)?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    };
    read().unwrap_or_else(|error| format!("({}: {error})", log.display()))
}

/// A running hub, killed when it is dropped.
#[derive(Debug)]
pub struct Hub {
    process: Process,
    /// The address at which the hub listens.
    pub address: SocketAddr,
    /// The epoch that the hub reports in `/api/status`.
    pub epoch: String,
    /// Kept open because the hub may print more.
    _stdout: BufReader<ChildStdout>,
}

impl Hub {
    /// Starts a hub on a free port, or at `--listen` of `flags`, and waits until it listens.
    /// `command` is `tickwire` without arguments.
    ///
    /// # Errors
    /// The hub does not start. The error contains the end of its log.
    pub async fn start(mut command: Command, flags: &[String], log: PathBuf) -> Result<Self> {
        // Ticks of the test feed would take positions that the feeder did not publish.
        command.env("TICKWIRE_LISTEN", "127.0.0.1:0").env("TICKWIRE_TEST_FEED", "off");
        command.arg("hub").args(flags).stdout(Stdio::piped());
        let mut process = Process::start("hub", command, log)?;
        let stdout = process.child.stdout.take().context("the hub has no standard output")?;
        let announced = tokio::task::spawn_blocking(move || {
            let mut stdout = BufReader::new(stdout);
            let mut line = String::new();
            stdout.read_line(&mut line).map(|_| (stdout, line))
        });
        let (stdout, line) =
            timeout(TIMEOUT, announced).await.context("the hub did not start in time")???;
        let url =
            line.trim().strip_prefix("listening on http").map(|url| url.trim_start_matches('s'));
        let Some(address) = url.and_then(|url| url.strip_prefix("://")) else {
            bail!("the hub did not start: {}", tail(&process.log));
        };
        let address = address.parse()?;
        let status: serde_json::Value =
            serde_json::from_str(&get(address, "/api/status", None).await?)?;
        let epoch = status["epoch"].as_str().context("a status without an epoch")?.to_owned();
        Ok(Self { process, address, epoch, _stdout: stdout })
    }

    /// Sends SIGKILL and waits for the exit.
    ///
    /// # Errors
    /// The signal cannot be sent.
    pub fn kill(&mut self) -> Result<()> {
        self.process.kill()
    }

    /// Sends SIGTERM and waits until the hub has drained and exited.
    ///
    /// # Errors
    /// The hub does not exit in time, or not successfully.
    pub async fn terminate(&mut self) -> Result<()> {
        self.process.terminate().await
    }

    /// Returns an error message if the process has exited.
    pub fn unexpected_exit(&mut self) -> Option<String> {
        self.process.unexpected_exit()
    }

    /// Returns the resident memory, in MiB.
    ///
    /// # Errors
    /// The hub is not running.
    pub fn memory_mib(&self) -> Result<u64> {
        Ok(self.memory_kib()? / 1_024)
    }

    /// Returns the resident memory, in KiB.
    ///
    /// # Errors
    /// The hub is not running.
    pub fn memory_kib(&self) -> Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.split_whitespace().next()).context("no VmRSS")?;
        Ok(kib.parse()?)
    }

    /// Returns the CPU time that the hub has used, user and system together.
    ///
    /// # Errors
    /// The hub is not running.
    pub fn cpu_time(&self) -> Result<Duration> {
        cpu_time(self.process.child.id())
    }

    /// Returns the value of a metric without labels, or 0 if the hub has none of that name.
    ///
    /// # Errors
    /// The hub does not respond.
    pub async fn metric(&self, name: &str) -> Result<f64> {
        self.read_metric(name, None).await
    }

    /// Returns the value of a metric like [`Hub::metric`], from a hub that requires a key for it.
    ///
    /// # Errors
    /// The hub does not respond, or refuses the key.
    pub async fn metric_with_key(&self, name: &str, key: &str) -> Result<f64> {
        self.read_metric(name, Some(key)).await
    }

    async fn read_metric(&self, name: &str, key: Option<&str>) -> Result<f64> {
        let text = get(self.address, "/metrics", key).await?;
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value.map_or(Ok(0.0), |value| Ok(value.trim().parse()?))
    }
}

/// A running feeder with the simulated market, killed when it is dropped.
#[derive(Debug)]
pub struct Feeder(Process);

impl Feeder {
    /// Starts a feeder. `program` is `tickwire`.
    ///
    /// # Errors
    /// The process cannot be started.
    pub fn start(program: &Path, flags: &[String], log: PathBuf) -> Result<Self> {
        let mut command = Command::new(program);
        command.args(["feed", "sim"]).args(flags).stdout(Stdio::null());
        Process::start("feeder", command, log).map(Self)
    }

    /// Sends SIGKILL and waits for the exit.
    ///
    /// # Errors
    /// The signal cannot be sent.
    pub fn kill(&mut self) -> Result<()> {
        self.0.kill()
    }

    /// Sends SIGTERM and waits until the feeder has sent all due ticks and exited.
    ///
    /// # Errors
    /// The feeder does not exit in time, or not successfully.
    pub async fn terminate(&mut self) -> Result<()> {
        self.0.terminate().await
    }

    /// Returns an error message if the process has exited.
    pub fn unexpected_exit(&mut self) -> Option<String> {
        self.0.unexpected_exit()
    }
}

/// Sends a `GET` request and returns the body of the response.
async fn get(address: SocketAddr, path: &str, key: Option<&str>) -> Result<String> {
    let authorization =
        key.map(|key| format!("Authorization: Bearer {key}\r\n")).unwrap_or_default();
    let answer = async {
        let mut stream = TcpStream::connect(address).await?;
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {address}\r\n{authorization}Connection: close\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        io::Result::Ok(answer)
    };
    let answer =
        timeout(TIMEOUT, answer).await.with_context(|| format!("no response to GET {path}"))??;
    let (head, body) = answer.split_once("\r\n\r\n").context("not HTTP")?;
    ensure!(head.starts_with("HTTP/1.1 200"), "{path}: {head}");
    Ok(body.to_owned())
}

/// Returns the CPU time of all threads of a process, user and system together.
///
/// # Errors
/// The process is not running.
pub fn cpu_time(process: u32) -> Result<Duration> {
    // Fields 14 and 15, in clock ticks of 10 ms. Field 2 is a name in parentheses that may hold
    // spaces.
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat"))?;
    let (_, fields) = stat.rsplit_once(')').context("no process status")?;
    let times = fields.split_whitespace().skip(11).take(2).map(str::parse::<u64>);
    Ok(Duration::from_millis(10 * times.sum::<Result<u64, _>>()?))
}

/// Returns the path of the `tickwire` program: `given`, or the one next to the running program.
///
/// # Errors
/// There is no such file.
pub fn tickwire(given: Option<&Path>) -> Result<PathBuf> {
    let path = match given {
        Some(path) => path.to_owned(),
        None => {
            let this =
                std::env::current_exe().context("the path of the running program is unknown")?;
            this.with_file_name(format!("tickwire{}", std::env::consts::EXE_SUFFIX))
        }
    };
    ensure!(path.is_file(), "{} does not exist; `cargo build` creates it", path.display());
    Ok(path)
}
