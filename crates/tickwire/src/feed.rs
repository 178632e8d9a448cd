//! `tickwire feed`: publishes simulated, recorded or relayed ticks, or writes them to a file.

mod alpaca;
mod destination;
mod replay;
mod report;
mod sim;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tickwire_feeder::{Counts, FeedError, Pace, Progress, Source, publish, write_ndjson};
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::{output, shutdown};
use destination::Destination;
use report::Report;

/// Flags of `tickwire feed`.
#[derive(Debug, clap::Args)]
#[command(arg_required_else_help = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    source: SourceArgs,
}

#[derive(Debug, clap::Subcommand)]
enum SourceArgs {
    /// Publishes a simulated market, which is identical for equal seeds
    Sim(sim::Args),
    /// Replays recorded ticks from files, at their original speed or faster
    Replay(replay::Args),
    /// Relays Alpaca's stock stream, or another hub, to a hub over one connection
    Alpaca(alpaca::Args),
}

pub(crate) fn run(args: Args) -> anyhow::Result<()> {
    match args.source {
        SourceArgs::Sim(args) => sim::run(args),
        SourceArgs::Replay(args) => replay::run(args),
        SourceArgs::Alpaca(args) => alpaca::run(args),
    }
}

/// A tick source with its destination.
struct Job<S> {
    source: S,
    pace: Pace,
    destination: Destination,
    /// Description of the source for messages.
    title: String,
}

impl<S: Source> Job<S> {
    fn run(self) -> anyhow::Result<()> {
        let Self { source, pace, destination, title } = self;
        let report = Report::new(&destination)?;
        let title = format!("{title} to {destination}");
        run_with_report(report, &title, |cancel, progress| {
            deliver(source, pace, destination, cancel, progress)
        })
    }
}

/// Runs a feed until it ends or a signal arrives. Reports progress, and a summary at the end.
fn run_with_report<W: Future<Output = anyhow::Result<()>>>(
    mut report: Report,
    title: &str,
    work: impl FnOnce(CancellationToken, Arc<Progress>) -> W,
) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    runtime.block_on(async {
        let cancel = shutdown::on_signal_or_hangup().context("cannot listen for signals")?;
        report.start(title);
        let progress = Arc::new(Progress::default());
        let started = now();
        let mut work = Box::pin(work(cancel, Arc::clone(&progress)));
        let mut due = interval(Report::INTERVAL);
        due.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let result = loop {
            tokio::select! {
                result = &mut work => break result,
                _ = due.tick() => report.update(&progress.counts(), started.elapsed()),
            }
        };
        report.finish(&progress.counts(), started.elapsed().max(Duration::from_millis(1)));
        result
    })
}

async fn deliver<S: Source>(
    source: S,
    pace: Pace,
    destination: Destination,
    cancel: CancellationToken,
    progress: Arc<Progress>,
) -> anyhow::Result<()> {
    let result: Result<Counts, FeedError> = match destination {
        Destination::Hub(config) => publish(source, pace, *config, cancel, progress).await,
        Destination::File(path) => {
            let file = std::fs::File::create(&path)
                .with_context(|| format!("--to {}: cannot create the file", path.display()))?;
            write_ndjson(source, pace, file, cancel, progress).await
        }
        Destination::Stdout => {
            write_ndjson(source, pace, output::result_stream(), cancel, progress).await
        }
    };
    match result {
        // The reader has closed the pipe, as `head` does.
        Err(FeedError::Write(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        other => other.map(drop).map_err(Into::into),
    }
}

#[expect(clippy::disallowed_methods, reason = "measures the elapsed time for the progress report")]
fn now() -> Instant {
    Instant::now()
}
