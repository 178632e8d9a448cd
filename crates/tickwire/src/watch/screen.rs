//! The live table: terminal in, terminal out, on a timer.

use std::time::{Duration, Instant, SystemTime};

use anyhow::Context as _;
use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use tickwire_client::Client;
use tickwire_protocol::UnixNanos;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::board::{Board, Moment, SortBy};
use super::table::{View, draw};
use super::{Until, spell};

/// How often keys are looked for.
const KEYS_EVERY: Duration = Duration::from_millis(33);

/// How often the table is drawn at least; a key draws it at once, a tick never does.
const DRAW_EVERY: Duration = Duration::from_millis(100);

/// Shows the table until the end; leaves the terminal as it was, also on a panic.
pub(super) async fn run(
    client: &mut Client,
    title: String,
    until: Until,
    signal: &CancellationToken,
) -> anyhow::Result<()> {
    let terminal = ratatui::try_init().context("cannot use the terminal")?;
    let screen = Screen {
        terminal,
        board: Board::new(),
        view: View { sort: SortBy::Symbol, top: 0 },
        title,
        fits: 1,
        started: now(),
    };
    let result = screen.show(client, until, signal).await;
    ratatui::restore();
    result
}

struct Screen {
    terminal: DefaultTerminal,
    board: Board,
    view: View,
    title: String,
    /// Rows that fit.
    fits: usize,
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
        until: Until,
        signal: &CancellationToken,
    ) -> anyhow::Result<()> {
        let over = until.time_is_over();
        tokio::pin!(over);
        let mut keys = tokio::time::interval(KEYS_EVERY);
        keys.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut drawn = None;
        loop {
            tokio::select! {
                biased;
                () = signal.cancelled() => return Ok(()),
                () = &mut over => return Ok(()),
                _ = keys.tick() => {
                    let Some(pressed) = self.keys()? else { return Ok(()) };
                    let elapsed = self.started.elapsed();
                    if pressed || drawn.is_none_or(|drawn| elapsed >= drawn + DRAW_EVERY) {
                        drawn = Some(elapsed);
                        self.draw(elapsed)?;
                    }
                }
                event = client.next() => {
                    let Some(event) = event else { return Ok(()) };
                    if let Some(text) = spell::end(&event) {
                        anyhow::bail!("{text}");
                    }
                    let moment = Moment { elapsed: self.started.elapsed(), unix: unix() };
                    self.board.take(&event, moment);
                    if until.ticks.is_some_and(|ticks| self.board.ticks >= ticks) {
                        return Ok(());
                    }
                }
            }
        }
    }

    fn draw(&mut self, elapsed: Duration) -> anyhow::Result<()> {
        self.board.roll(elapsed);
        let (board, view, title) = (&self.board, self.view, &self.title);
        let mut fits = self.fits;
        self.terminal
            .draw(|frame| fits = draw(frame, board, view, title, elapsed))
            .context("cannot draw on the terminal")?;
        self.fits = fits;
        Ok(())
    }

    /// Does what the keys say; whether there were any, or `None` to quit.
    fn keys(&mut self) -> anyhow::Result<Option<bool>> {
        let mut pressed = false;
        while event::poll(Duration::ZERO).context("cannot read keys")? {
            pressed = true;
            if let event::Event::Key(key) = event::read().context("cannot read keys")?
                && key.kind != KeyEventKind::Release
                && !self.key(key)
            {
                return Ok(None);
            }
        }
        Ok(Some(pressed))
    }

    /// One key; false to quit.
    fn key(&mut self, key: KeyEvent) -> bool {
        let last = self.board.len().saturating_sub(self.fits);
        let top = self.view.top;
        match key.code {
            KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => return false,
            KeyCode::Char('q') | KeyCode::Esc => return false,
            KeyCode::Char('s') => {
                self.view = View { sort: self.view.sort.next(), top: 0 };
            }
            KeyCode::Down | KeyCode::Char('j') => self.view.top = (top + 1).min(last),
            KeyCode::Up | KeyCode::Char('k') => self.view.top = top.saturating_sub(1),
            KeyCode::PageDown | KeyCode::Char(' ') => self.view.top = (top + self.fits).min(last),
            KeyCode::PageUp => self.view.top = top.saturating_sub(self.fits),
            KeyCode::Home => self.view.top = 0,
            KeyCode::End => self.view.top = last,
            _ => {}
        }
        true
    }
}
