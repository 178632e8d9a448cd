//! Honest clients that repeat an operation and time it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use tokio::io::BufReader;
use tokio::task::JoinSet;
use tokio::time::{Interval, MissedTickBehavior, interval, timeout};

use crate::market::RESUME_POSITION;
use crate::peer::{Peer, Session, exchange};
use crate::samples::{Samples, Times};

/// Time after which an operation is given up.
pub(crate) const TIME_MAX: Duration = Duration::from_secs(5);

/// The honest clients. They end when this is dropped.
#[derive(Debug)]
pub(crate) struct Probes {
    samples: Arc<AllSamples>,
    _clients: JoinSet<()>,
}

#[derive(Debug, Default)]
struct AllSamples {
    subscribe: Samples,
    resume: Samples,
    ready: Samples,
    publish: Samples,
}

/// The times of all operations.
#[derive(Debug, Clone, Default)]
pub(crate) struct ProbeTimes {
    /// From the command to its answer, for a symbol that ticks and one that never has.
    pub(crate) subscribe: Times,
    /// From the command to the first tick, which is read from disk.
    pub(crate) resume: Times,
    /// `GET /readyz` on a new connection.
    pub(crate) ready: Times,
    /// The opening handshake of a publisher.
    pub(crate) publish: Times,
}

impl ProbeTimes {
    /// Returns the operations that failed, such as `resume 3`.
    pub(crate) fn failures(&self) -> Vec<String> {
        let all = [
            ("subscribe", &self.subscribe),
            ("resume", &self.resume),
            ("readyz", &self.ready),
            ("publish", &self.publish),
        ];
        let failed = all.into_iter().filter(|(_, times)| times.failed() > 0);
        failed.map(|(name, times)| format!("{name} {}", times.failed())).collect()
    }
}

impl Probes {
    /// Starts the clients.
    pub(crate) fn start(peer: &Arc<Peer>, epoch: &str, symbols: &[String]) -> Self {
        let samples = Arc::new(AllSamples::default());
        let mut clients = JoinSet::new();
        let symbol = symbols[0].clone();
        let subscriber = Subscriber { peer: peer.clone(), symbol, session: None, id: 0 };
        let resumer = Resumer { peer: peer.clone(), command: resume_command(epoch, symbols) };
        clients.spawn(repeat(subscriber, samples.clone(), |samples| &samples.subscribe));
        clients.spawn(repeat(resumer, samples.clone(), |samples| &samples.resume));
        let checker = ReadinessChecker(peer.clone());
        let publisher = Publisher(peer.clone());
        clients.spawn(repeat(checker, samples.clone(), |samples| &samples.ready));
        clients.spawn(repeat(publisher, samples.clone(), |samples| &samples.publish));
        Self { samples, _clients: clients }
    }

    /// Returns the times since the last call.
    pub(crate) fn take(&self) -> ProbeTimes {
        let AllSamples { subscribe, resume, ready, publish } = &*self.samples;
        let now = now();
        ProbeTimes {
            subscribe: subscribe.take(now),
            resume: resume.take(now),
            ready: ready.take(now),
            publish: publish.take(now),
        }
    }
}

/// A client that repeats an operation.
trait Probe: Send {
    /// Time between the starts of two operations that are short.
    const PAUSE: Duration;

    /// Performs the operation once and returns its time.
    fn run(&mut self) -> impl Future<Output = Result<Duration>> + Send;
}

/// Repeats the operation of a client.
async fn repeat(
    mut probe: impl Probe,
    samples: Arc<AllSamples>,
    of_probe: fn(&AllSamples) -> &Samples,
) {
    let samples = of_probe(&samples);
    let mut due = interval_of(&probe);
    loop {
        due.tick().await;
        samples.begin(now());
        match timeout(TIME_MAX, probe.run()).await {
            Ok(Ok(time)) => samples.add(time),
            Ok(Err(_refused)) => samples.fail(),
            Err(_late) => samples.give_up(TIME_MAX),
        }
    }
}

fn interval_of<P: Probe>(_: &P) -> Interval {
    let mut due = interval(P::PAUSE);
    due.set_missed_tick_behavior(MissedTickBehavior::Delay);
    due
}

/// A session that subscribes and unsubscribes.
struct Subscriber {
    peer: Arc<Peer>,
    symbol: String,
    session: Option<Session>,
    id: u64,
}

impl Probe for Subscriber {
    const PAUSE: Duration = Duration::from_millis(20);

    async fn run(&mut self) -> Result<Duration> {
        // An operation that fails or is given up leaves no session.
        let mut session = match self.session.take() {
            Some(session) => session,
            None => self.peer.session("/ws").await?,
        };
        self.id += 2;
        let id = self.id;
        let symbol = &self.symbol;
        let names = format!(r#""quotes":["{symbol}","NEW{id}"]"#);
        let began = now();
        session.send(format!(r#"{{"action":"subscribe","id":{id},{names}}}"#)).await?;
        let is_accepted = session.answer(id).await?;
        let time = began.elapsed();
        session.send(format!(r#"{{"action":"unsubscribe","id":{},{names}}}"#, id + 1)).await?;
        session.answer(id + 1).await?;
        self.session = Some(session);
        ensure!(is_accepted, "the hub refused to subscribe");
        Ok(time)
    }
}

/// A client that connects and resumes from a position that only the disk has.
struct Resumer {
    peer: Arc<Peer>,
    command: String,
}

fn resume_command(epoch: &str, symbols: &[String]) -> String {
    let symbols = symbols[..5].join(r#"",""#);
    format!(
        r#"{{"action":"subscribe","id":1,"quotes":["{symbols}"],"resume":{{"epoch":"{epoch}","pos":{RESUME_POSITION}}}}}"#
    )
}

impl Probe for Resumer {
    const PAUSE: Duration = Duration::from_millis(200);

    async fn run(&mut self) -> Result<Duration> {
        let mut session = self.peer.session("/ws").await?;
        let began = now();
        session.send(self.command.clone()).await?;
        let answer = session.until(r#""T":"subscription""#).await?;
        ensure!(answer.contains(r#""resumed":"all""#), "not everything is available: {answer}");
        session.until(r#""T":"q""#).await?;
        Ok(began.elapsed())
    }
}

/// A client that asks on new connections whether the hub is ready.
struct ReadinessChecker(Arc<Peer>);

impl Probe for ReadinessChecker {
    const PAUSE: Duration = Duration::from_millis(50);

    async fn run(&mut self) -> Result<Duration> {
        let request = self.0.get("/readyz", "close");
        let began = now();
        let mut stream = BufReader::new(self.0.connect().await?);
        let status = exchange(&mut stream, request.as_bytes()).await?;
        ensure!(status == 200, "not ready");
        Ok(began.elapsed())
    }
}

/// A client that connects as a publisher.
struct Publisher(Arc<Peer>);

impl Probe for Publisher {
    const PAUSE: Duration = Duration::from_millis(200);

    async fn run(&mut self) -> Result<Duration> {
        let began = now();
        self.0.session("/publish").await?;
        Ok(began.elapsed())
    }
}

#[expect(clippy::disallowed_methods, reason = "a driver: times what it measures")]
pub(crate) fn now() -> Instant {
    Instant::now()
}
