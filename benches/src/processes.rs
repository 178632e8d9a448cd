//! Hub and feeder as real processes, to be killed and started again.

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

/// How long a process may take to start or to end. The machine may be busy.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks at a process.
const LOOK: Duration = Duration::from_millis(10);
/// Of its log, so much is shown when a process fails.
const LOG_TAIL_BYTES: u64 = 2_000;

/// A process that ends with this value.
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

    /// `kill -9`.
    fn kill(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// SIGTERM, and waits for the end: a clean one.
    async fn end(&mut self) -> Result<()> {
        let sent = Command::new("kill").arg("-TERM").arg(self.child.id().to_string()).status()?;
        ensure!(sent.success(), "kill -TERM of the {} failed", self.name);
        let ended = timeout(PATIENCE, async {
            loop {
                match self.child.try_wait() {
                    Ok(Some(status)) => return Ok(status),
                    Ok(None) => sleep(LOOK).await,
                    Err(error) => return Err(error),
                }
            }
        });
        let status = ended.await.with_context(|| {
            format!("the {} did not end within {PATIENCE:?} of SIGTERM", self.name)
        })??;
        ensure!(status.success(), "{}", self.died(status));
        Ok(())
    }

    /// What to say if it has ended by itself.
    fn ended_by_itself(&mut self) -> Option<String> {
        self.child.try_wait().ok().flatten().map(|status| self.died(status))
    }

    fn died(&self, status: ExitStatus) -> String {
        format!("the {} ended with {status}; its last words:\n{}", self.name, tail(&self.log))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ended_already = self.kill();
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

/// A running hub.
#[derive(Debug)]
pub struct Hub {
    process: Process,
    /// Where it listens.
    pub address: SocketAddr,
    /// Its life, as it says itself.
    pub epoch: String,
    /// Kept open: the hub may print more.
    _stdout: BufReader<ChildStdout>,
}

impl Hub {
    /// Starts a hub on a free port, or the one of `--listen` in `flags`, and waits until it listens.
    /// `command` is `tickwire`, without arguments.
    ///
    /// # Errors
    /// If it does not start; says its last words.
    pub async fn start(mut command: Command, flags: &[String], log: PathBuf) -> Result<Self> {
        // Without ticks of its own, which would have positions that nobody published.
        command.env("TICKWIRE_LISTEN", "127.0.0.1:0").env("TICKWIRE_TEST_FEED", "off");
        command.arg("hub").args(flags).stdout(Stdio::piped());
        let mut process = Process::start("hub", command, log)?;
        let stdout = process.child.stdout.take().context("the hub has no standard output")?;
        let announced = tokio::task::spawn_blocking(move || {
            let (mut stdout, mut line) = (BufReader::new(stdout), String::new());
            stdout.read_line(&mut line).map(|_| (stdout, line))
        });
        let (stdout, line) =
            timeout(PATIENCE, announced).await.context("the hub does not start")???;
        let url =
            line.trim().strip_prefix("listening on http").map(|url| url.trim_start_matches('s'));
        let Some(address) = url.and_then(|url| url.strip_prefix("://")) else {
            bail!("the hub does not start: {}", tail(&process.log));
        };
        let address = address.parse()?;
        let status: serde_json::Value = serde_json::from_str(&get(address, "/api/status").await?)?;
        let epoch = status["epoch"].as_str().context("a status without an epoch")?.to_owned();
        Ok(Self { process, address, epoch, _stdout: stdout })
    }

    /// `kill -9`.
    ///
    /// # Errors
    /// If the system does not let us.
    pub fn kill(&mut self) -> Result<()> {
        self.process.kill()
    }

    /// Ends it by SIGTERM and waits for that.
    ///
    /// # Errors
    /// If it does not end, or not well.
    pub async fn end(&mut self) -> Result<()> {
        self.process.end().await
    }

    /// What to say if it has ended by itself.
    pub fn ended_by_itself(&mut self) -> Option<String> {
        self.process.ended_by_itself()
    }

    /// Resident memory, in MiB.
    ///
    /// # Errors
    /// If it is not running.
    pub fn memory_mib(&self) -> Result<u64> {
        Ok(self.memory_kib()? / 1_024)
    }

    /// Resident memory, in KiB.
    ///
    /// # Errors
    /// If it is not running.
    pub fn memory_kib(&self) -> Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.split_whitespace().next()).context("no VmRSS")?;
        Ok(kib.parse()?)
    }

    /// For how long it had a processor.
    ///
    /// # Errors
    /// If it is not running.
    pub fn busy(&self) -> Result<Duration> {
        busy(self.process.child.id())
    }

    /// One of its metrics, 0 if it has none of that name.
    ///
    /// # Errors
    /// If it does not answer.
    pub async fn metric(&self, name: &str) -> Result<f64> {
        let text = get(self.address, "/metrics").await?;
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value.map_or(Ok(0.0), |value| Ok(value.trim().parse()?))
    }
}

/// A running feeder: the simulator.
#[derive(Debug)]
pub struct Feeder(Process);

impl Feeder {
    /// Starts one.
    ///
    /// # Errors
    /// If it does not start.
    pub fn start(program: &Path, flags: &[String], log: PathBuf) -> Result<Self> {
        let mut command = Command::new(program);
        command.args(["feed", "sim"]).args(flags).stdout(Stdio::null());
        Process::start("feeder", command, log).map(Self)
    }

    /// `kill -9`.
    ///
    /// # Errors
    /// If the system does not let us.
    pub fn kill(&mut self) -> Result<()> {
        self.0.kill()
    }

    /// Ends it by SIGTERM, after which it sends what is due, and waits for that.
    ///
    /// # Errors
    /// If it does not end, or not well.
    pub async fn end(&mut self) -> Result<()> {
        self.0.end().await
    }

    /// What to say if it has ended by itself.
    pub fn ended_by_itself(&mut self) -> Option<String> {
        self.0.ended_by_itself()
    }
}

/// The body of an answer to `GET`.
async fn get(address: SocketAddr, path: &str) -> Result<String> {
    let answer = async {
        let mut stream = TcpStream::connect(address).await?;
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        io::Result::Ok(answer)
    };
    let answer =
        timeout(PATIENCE, answer).await.with_context(|| format!("no answer to {path}"))??;
    let (head, body) = answer.split_once("\r\n\r\n").context("not HTTP")?;
    ensure!(head.starts_with("HTTP/1.1 200"), "{path}: {head}");
    Ok(body.to_owned())
}

/// For how long a process had a processor, all its threads together.
///
/// # Errors
/// If it is not running.
pub fn busy(process: u32) -> Result<Duration> {
    // In clock ticks of a hundredth of a second, the 14th and 15th field; the 2nd, in brackets, is a name.
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat"))?;
    let (_, fields) = stat.rsplit_once(')').context("no process status")?;
    let times = fields.split_whitespace().skip(11).take(2).map(str::parse::<u64>);
    Ok(Duration::from_millis(10 * times.sum::<Result<u64, _>>()?))
}

/// The `tickwire` binary: the one that was given, or the one beside the running program.
///
/// # Errors
/// If there is none.
pub fn tickwire(given: Option<&Path>) -> Result<PathBuf> {
    let path = match given {
        Some(path) => path.to_owned(),
        None => {
            let this = std::env::current_exe().context("where is the running program?")?;
            this.with_file_name(format!("tickwire{}", std::env::consts::EXE_SUFFIX))
        }
    };
    ensure!(path.is_file(), "{}: not there; `cargo build` makes it", path.display());
    Ok(path)
}
