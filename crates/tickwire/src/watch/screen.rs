//! The live table on a terminal: reads keys and draws, on a timer.

use std::time::{Duration, Instant, SystemTime};

use anyhow::Context as _;
use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use tickwire_client::Client;
use tickwire_protocol::UnixNanos;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::table::{Viewport, draw};
use super::watched::Watched;
use super::watchlist::{Moment, SortBy, Watchlist};
use super::{StopCondition, format};

/// The interval at which keys are polled.
const KEYS_INTERVAL: Duration = Duration::from_millis(33);

/// The interval at which the table is drawn. A key draws it at once; a tick never does.
const DRAW_INTERVAL: Duration = Duration::from_millis(100);

/// Shows the table until the command ends. Restores the terminal, also after a panic.
pub(super) async fn run(
    client: &mut Client,
    title: String,
    (watched, stop): (Watched, StopCondition),
    signal: &CancellationToken,
) -> anyhow::Result<()> {
    let terminal = ratatui::try_init().context("cannot use the terminal")?;
    let screen = Screen {
        terminal,
        watchlist: Watchlist::new(watched.symbols()),
        viewport: Viewport { sort: SortBy::Symbol, top: 0 },
        title,
        watched,
        visible_rows: 1,
        started: now(),
    };
    let result = screen.show(client, stop, signal).await;
    // A terminal that is gone needs no restoring. `ratatui::restore` would print the error, which
    // panics if standard error is gone as well.
    let _best_effort = ratatui::try_restore();
    result
}

struct Screen {
    terminal: DefaultTerminal,
    watchlist: Watchlist,
    viewport: Viewport,
    title: String,
    watched: Watched,
    /// Number of rows that fit on the screen.
    visible_rows: usize,
    started: Instant,
}

#[expect(clippy::disallowed_methods, reason = "the screen is where the clock is read")]
fn now() -> Instant {
    Instant::now()
}

#[expect(clippy::disallowed_methods, reason = "the screen is where the clock is read")]
fn unix() -> UnixNanos {
    UnixNanos::from(SystemTime::now())
}

impl Screen {
    async fn show(
        mut self,
        client: &mut Client,
        stop: StopCondition,
        signal: &CancellationToken,
    ) -> anyhow::Result<()> {
        let over = stop.time_is_over();
        tokio::pin!(over);
        let mut keys = tokio::time::interval(KEYS_INTERVAL);
        keys.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut drawn = None;
        loop {
            tokio::select! {
                biased;
                () = signal.cancelled() => return Ok(()),
                () = &mut over => return Ok(()),
                _ = keys.tick() => {
                    let Some(pressed) = self.handle_keys()? else { return Ok(()) };
                    let elapsed = self.started.elapsed();
                    if pressed || drawn.is_none_or(|drawn| elapsed >= drawn + DRAW_INTERVAL) {
                        drawn = Some(elapsed);
                        self.draw(elapsed)?;
                    }
                }
                event = client.next() => {
                    let Some(event) = event else { return Ok(()) };
                    if let Some(text) = format::fatal(&event) {
                        anyhow::bail!("{text}");
                    }
                    if !self.watched.covers(&event) {
                        continue;
                    }
                    let moment = Moment { elapsed: self.started.elapsed(), unix: unix() };
                    self.watchlist.update(&event, moment);
                    if stop.ticks.is_some_and(|ticks| self.watchlist.ticks >= ticks) {
                        return Ok(());
                    }
                }
            }
        }
    }

    fn draw(&mut self, elapsed: Duration) -> anyhow::Result<()> {
        self.watchlist.update_rates(elapsed);
        let Self { watchlist, viewport, title, visible_rows, terminal, .. } = self;
        terminal
            .draw(|frame| *visible_rows = draw(frame, watchlist, *viewport, title, elapsed))
            .context("cannot draw on the terminal")?;
        Ok(())
    }

    /// Handles the pressed keys. Returns whether there were any, or `None` to quit.
    fn handle_keys(&mut self) -> anyhow::Result<Option<bool>> {
        let mut pressed = false;
        while event::poll(Duration::ZERO).context("cannot read keys")? {
            pressed = true;
            if let event::Event::Key(key) = event::read().context("cannot read keys")?
                && key.kind != KeyEventKind::Release
                && !self.handle_key(key)
            {
                return Ok(None);
            }
        }
        Ok(Some(pressed))
    }

    /// Handles a key. Returns false to quit.
    fn handle_key(&mut self, key: KeyEvent) -> bool {
        let last = self.watchlist.len().saturating_sub(self.visible_rows);
        let top = self.viewport.top;
        match key.code {
            KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => return false,
            KeyCode::Char('q') | KeyCode::Esc => return false,
            KeyCode::Char('s') => {
                self.viewport = Viewport { sort: self.viewport.sort.next(), top: 0 };
            }
            KeyCode::Down | KeyCode::Char('j') => self.viewport.top = (top + 1).min(last),
            KeyCode::Up | KeyCode::Char('k') => self.viewport.top = top.saturating_sub(1),
            KeyCode::PageDown | KeyCode::Char(' ') => {
                self.viewport.top = (top + self.visible_rows).min(last)
            }
            KeyCode::PageUp => self.viewport.top = top.saturating_sub(self.visible_rows),
            KeyCode::Home => self.viewport.top = 0,
            KeyCode::End => self.viewport.top = last,
            _ => {}
        }
        true
    }
}
