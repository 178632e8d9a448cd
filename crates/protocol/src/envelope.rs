//! The keys of every map on the wire that is not a tick: control elements and commands.
//!
//! One flat struct stands for all of them, so that both encodings share one derive and unknown keys
//! are passed over.

use serde::{Deserialize, Serialize};

use crate::names::Selection;
use crate::{Channel, DecodeError, FeedState, Names, PerChannel, ValueError};

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Envelope {
    #[serde(rename = "T", skip_serializing_if = "Option::is_none")]
    pub(crate) kind: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) action: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) code: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) msg: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) detail: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) epoch: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) feed: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) state: Option<FeedState>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) since: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) t: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ticks: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) publisher: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) last: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) upto: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) mark: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) id: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) trades: Option<Selection>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) quotes: Option<Selection>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) bars: Option<Selection>,
    #[serde(rename = "updatedBars", skip_serializing_if = "Option::is_none")]
    pub(crate) updated_bars: Option<Selection>,
    #[serde(rename = "dailyBars", skip_serializing_if = "Option::is_none")]
    pub(crate) daily_bars: Option<Selection>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) statuses: Option<Selection>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) lulds: Option<Selection>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) imbalances: Option<Selection>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) corrections: Option<Selection>,
    #[serde(rename = "cancelErrors", skip_serializing_if = "Option::is_none")]
    pub(crate) cancel_errors: Option<Selection>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) total: Option<PerChannel<u64>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) snapshot: Option<bool>,
    #[serde(skip_serializing)]
    pub(crate) delivery: Option<String>,
    #[serde(skip_serializing)]
    pub(crate) on_lag: Option<String>,
    #[serde(skip_serializing)]
    pub(crate) pos: Option<bool>,
    #[serde(skip_serializing)]
    pub(crate) max_rate: Option<serde::de::IgnoredAny>,
    #[serde(skip_serializing)]
    pub(crate) resume: Option<serde::de::IgnoredAny>,
    #[serde(skip_serializing)]
    pub(crate) from: Option<serde::de::IgnoredAny>,
    #[serde(skip_serializing)]
    pub(crate) speed: Option<serde::de::IgnoredAny>,
}

impl Envelope {
    pub(crate) fn element(kind: &str) -> Self {
        Self { kind: Some(kind.to_owned()), ..Self::default() }
    }

    pub(crate) fn command(action: &str) -> Self {
        Self { action: Some(action.to_owned()), ..Self::default() }
    }

    fn list(&mut self, channel: Channel) -> &mut Option<Selection> {
        match channel {
            Channel::Trades => &mut self.trades,
            Channel::Quotes => &mut self.quotes,
            Channel::Bars => &mut self.bars,
            Channel::UpdatedBars => &mut self.updated_bars,
            Channel::DailyBars => &mut self.daily_bars,
            Channel::Statuses => &mut self.statuses,
            Channel::Lulds => &mut self.lulds,
            Channel::Imbalances => &mut self.imbalances,
            Channel::Corrections => &mut self.corrections,
            Channel::CancelErrors => &mut self.cancel_errors,
        }
    }

    pub(crate) fn take_names(&mut self) -> Names {
        let mut names = Names::default();
        for channel in Channel::ALL {
            names[channel] = self.list(channel).take().unwrap_or_default();
        }
        names
    }

    /// Empty channels are left out.
    pub(crate) fn with_names(mut self, names: &Names) -> Self {
        for (channel, selection) in names.iter().filter(|(_, selection)| !selection.is_empty()) {
            *self.list(channel) = Some(selection.clone());
        }
        self
    }

    pub(crate) fn from_json(text: &[u8]) -> Result<Self, DecodeError> {
        serde_json::from_slice(text).map_err(refused)
    }

    pub(crate) fn from_msgpack(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut decoder = rmp_serde::Deserializer::new(bytes);
        let envelope = Self::deserialize(&mut decoder).map_err(refused)?;
        match decoder.get_ref().len() {
            0 => Ok(envelope),
            left => Err(DecodeError::message(ValueError::Trailing(left))),
        }
    }

    pub(crate) fn write_json(&self, out: &mut Vec<u8>) {
        let written = serde_json::to_writer(out, self);
        debug_assert!(written.is_ok(), "plain data into a vector");
    }

    pub(crate) fn write_msgpack(&self, out: &mut Vec<u8>) {
        let written = self.serialize(&mut rmp_serde::Serializer::new(out).with_struct_map());
        debug_assert!(written.is_ok(), "plain data into a vector");
    }
}

fn refused(error: impl std::fmt::Display) -> DecodeError {
    let mut text = error.to_string();
    if let Some((end, _)) = text.char_indices().nth(200) {
        text.truncate(end);
    }
    DecodeError::message(ValueError::Invalid(text))
}
