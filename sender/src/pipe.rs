//! A running pipe as the loop holds it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tidegate_config::PipeDefinition;
use tidegate_link::sending::DialectRule;
use tidegate_link::sending::Peers;
use tidegate_link::sending::RateLimit;
use tidegate_model::Dialect;
use tidegate_source::RegionKey;
use tidegate_source::Source;
use tidegate_wire::Wrap;

use crate::filter::Filter;
use crate::ledger::DatedGap;
use crate::ledger::Journals;
use crate::line;
use crate::pipes::PipeSetup;
use crate::settings::SourceFacts;

/// A pipe and everything that belongs to it but its lanes.
#[derive(Debug)]
pub(crate) struct Pipe {
    pub(crate) definition: PipeDefinition,
    pub(crate) created_ms: u64,
    pub(crate) source: Source,
    pub(crate) peers: Peers,
    pub(crate) rate: Option<RateLimit>,
    pub(crate) wrap: Wrap,
    pub(crate) dialect: DialectRule,
    pub(crate) ports: Option<Vec<u16>>,
    /// Which series and times it takes.
    pub(crate) filter: Arc<Filter>,
    /// Indexes of its lanes in the loop.
    pub(crate) lanes: Vec<usize>,
    pub(crate) gaps: VecDeque<DatedGap>,
    pub(crate) n_gaps: u64,
    pub(crate) damage: Vec<String>,
    /// Effects handed to the ledger and not yet durable.
    pub(crate) n_effects_pending: usize,
    /// Length at which the cursor journal is rewritten.
    pub(crate) rewrite_at_bytes: u64,
    /// The scan after which another one was asked for.
    pub(crate) scan_wanted_at: u64,
}

/// Calls to one peer in a minute.
const CALLS_PER_MINUTE_MAX: usize = 20;
/// Effects that may wait for the disk before no more items leave.
pub(crate) const EFFECTS_PENDING_MAX: usize = 1024;
/// Gaps that are kept in memory to be listed; the journal has all.
pub(crate) const GAPS_LISTED_MAX: usize = 10_000;
/// A cursor journal is not rewritten below this.
pub(crate) const REWRITE_BYTES_MIN: u64 = 1 << 20;

impl Pipe {
    /// A pipe that can run, with its journals for the ledger, or why it cannot.
    pub(crate) fn new(
        setup: PipeSetup,
        facts: &SourceFacts,
        reconnect_interval_min: Duration,
    ) -> Result<(Self, Box<Journals>), String> {
        let (dialect, filter) = meant(&setup.definition, facts, setup.created_ms)?;
        let connector = &setup.definition.connector;
        let wrap = if connector.wraps_in_e_language() { Wrap::ELanguage } else { Wrap::None };
        let n_gaps = setup.gaps.len() as u64;
        let mut gaps = setup.gaps;
        gaps.drain(..gaps.len().saturating_sub(GAPS_LISTED_MAX));
        let pipe = Self {
            created_ms: setup.created_ms,
            source: setup.source,
            peers: Peers::new(
                connector.node_urls.len(),
                CALLS_PER_MINUTE_MAX,
                reconnect_interval_min,
            ),
            rate: connector.rate_limit_bytes_per_second.map(RateLimit::new),
            wrap,
            dialect,
            filter: Arc::new(filter),
            ports: line::allowed_ports(&connector.send_port),
            lanes: Vec::new(),
            gaps: gaps.into(),
            n_gaps,
            damage: setup.damage,
            n_effects_pending: 0,
            rewrite_at_bytes: REWRITE_BYTES_MIN,
            scan_wanted_at: 0,
            definition: setup.definition,
        };
        Ok((pipe, setup.journals))
    }

    /// One lane per peer, but never more than there are source ports to call from.
    pub(crate) fn n_lanes(&self) -> usize {
        let n_peers = self.definition.connector.node_urls.len();
        self.ports.as_ref().map_or(n_peers, |ports| n_peers.min(ports.len())).max(1)
    }

    /// The dialect in which a 1.2 source meets nobody yet.
    pub(crate) fn wanted_dialect(&self) -> Dialect {
        let (DialectRule::Auto(dialect) | DialectRule::Fixed(dialect)) = self.dialect;
        dialect
    }
}

/// In which dialect a pipe speaks and what it takes, or why it cannot run at this source: what
/// `check-conf` asks before, too.
///
/// # Arguments
///
/// - `created_ms`: when the pipe was created; `now` in its times stands for that
pub(crate) fn meant(
    definition: &PipeDefinition,
    facts: &SourceFacts,
    created_ms: u64,
) -> Result<(DialectRule, Filter), String> {
    let dialect = match (definition.connector.dialect, facts.dialect) {
        (Some(dialect), _) => DialectRule::Fixed(dialect),
        (None, Some(dialect)) => DialectRule::Auto(dialect),
        (None, None) => {
            return Err("the version of the source is not known, and one reply byte cannot tell \
                        the peer's: set connector.tidegate.dialect to 1.2, 1.3 or 2.0, or \
                        dn_system_dir or sender_iotdb_version in sender.properties"
                .to_owned());
        }
    };
    let (DialectRule::Auto(wanted) | DialectRule::Fixed(wanted)) = dialect;
    let generation = facts.dialect.unwrap_or(wanted);
    let filter = Filter::new(&definition.extractor, generation, facts.precision, created_ms)?;
    Ok((dialect, filter))
}

/// The lane that a region belongs to for good.
///
/// Region ids are unique in a cluster and given out in a row, so this spreads them evenly. It
/// changes only with the number of lanes, that is with the pipe's definition, when nothing is out.
pub(crate) fn lane_of(region: &RegionKey, n_lanes: usize) -> usize {
    region.region as usize % n_lanes
}
