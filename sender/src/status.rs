//! What the running sender says of itself on the control socket.

use std::iter::once;

use serde::Serialize;
use serde_json::Value;
use tidegate_daemon::control;
use tidegate_link::sending::HandshakeForm;
use tidegate_link::sending::Phase;
use tidegate_source::StreamStatus;

use crate::edge::Edge;
use crate::edge::wall_clock_ms;
use crate::lane_slot::LaneSlot;
use crate::ledger::DatedGap;
use crate::pins::PinTotals;
use crate::pipe::Pipe;

/// Answer to `status`.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    daemon: &'static str,
    version: &'static str,
    pid: u32,
    sender_id: String,
    epoch: u64,
    uptime_ms: u64,
    source: SourceReport,
    pipes: Vec<PipeReport>,
    /// Definitions that cannot be used or pipes that cannot run, with the reason.
    faults: Vec<String>,
    /// Set while nothing can be made durable.
    disk_full: Option<String>,
    loop_turns: LoopReport,
    notes: Vec<String>,
}

#[derive(Debug, Serialize)]
struct SourceReport {
    data_dirs: Vec<String>,
    precision: String,
    iotdb_version: Option<String>,
    cluster_id: Option<String>,
    data_node_id: Option<u32>,
    /// Parts of the tree that could not be read in the last scan.
    unread: Vec<String>,
    /// Regions that are there and not sent, with the reason.
    skipped: Vec<SkippedReport>,
    /// Waiting files that are kept from being lost.
    pins: PinTotals,
}

#[derive(Debug, Serialize)]
struct SkippedReport {
    region: String,
    reason: String,
}

#[derive(Debug, Serialize)]
struct PipeReport {
    name: String,
    state: &'static str,
    created_ms: u64,
    gateway: &'static str,
    e_language: bool,
    dialect: String,
    notes: Vec<String>,
    scans: u64,
    pending_files: u64,
    pending_bytes: u64,
    sent_files: u64,
    sent_bytes: u64,
    gaps: u64,
    damage: Vec<String>,
    lanes: Vec<LaneReport>,
    regions: Vec<RegionReport>,
}

#[derive(Debug, Serialize)]
struct LaneReport {
    number: usize,
    phase: &'static str,
    peer: String,
    handshake: Option<&'static str>,
    dialect: Option<String>,
    piece_bytes: u32,
    bytes_sent: u64,
    calls: u64,
    calls_failed: u64,
    replies: RepliesReport,
    item: Option<String>,
    last_trouble: Option<String>,
    /// What may help where the peer refuses again and again.
    hint: Option<String>,
}

#[derive(Debug, Serialize)]
struct RepliesReport {
    ok: u64,
    fail: u64,
    closed: u64,
    broken: u64,
    timeout: u64,
    illegal: u64,
}

#[derive(Debug, Serialize)]
struct RegionReport {
    region: String,
    lane: usize,
    history_files: u64,
    history_bytes: u64,
    realtime_files: u64,
    realtime_bytes: u64,
    held_files: u64,
    pending_deletions: u64,
    unsealed_files: u64,
    sent_files: u64,
    sent_bytes: u64,
    /// Files among those sent that left as tablets.
    tablet_files: u64,
    /// Files among those sent of which the wanted points left as a file.
    excerpt_files: u64,
    /// Files of which nothing was wanted.
    outside_files: u64,
    short_files: u64,
    resent_files: u64,
    covered_files: u64,
    sent_deletions: u64,
    /// Waiting files that are pinned.
    pinned_files: u64,
    pinned_bytes: u64,
    /// Pinned files that the source has removed.
    orphaned_files: u64,
    vanished_files: u64,
    superseded_files: u64,
    last_sequence: u64,
    /// Up to which row of the consensus everything has left.
    watermark: Option<String>,
    /// Whether new files wait for a scan in which all of the region can be read.
    awaits_scan: bool,
    aside: Vec<AsideReport>,
    /// The file that holds the whole region up.
    blocked: Option<AsideReport>,
    last_trouble: Option<String>,
}

#[derive(Debug, Serialize)]
struct AsideReport {
    file: String,
    reason: String,
}

#[derive(Debug, Serialize)]
struct LoopReport {
    turns: u64,
    slow: u64,
    slowest_us: u64,
}

/// A gap as it is listed.
#[derive(Debug, Serialize)]
pub(crate) struct GapReport {
    pub(crate) pipe: String,
    pub(crate) recorded_ms: u64,
    pub(crate) reason: &'static str,
    pub(crate) explanation: &'static str,
    pub(crate) region: String,
    pub(crate) partition: i64,
    pub(crate) space: &'static str,
    pub(crate) file: String,
    pub(crate) files: u32,
    pub(crate) from_byte: u64,
    pub(crate) to_byte: u64,
    /// First and last time stamp concerned, where they are known.
    pub(crate) from_time: Option<i64>,
    pub(crate) to_time: Option<i64>,
    /// Which series could not be read, of how many points, and why.
    pub(crate) series: Option<String>,
    pub(crate) points: Option<u64>,
    pub(crate) cause: Option<String>,
}

const NOT_SEALED: &str = "rows that exist only in the write-ahead log, and unsealed files, are not \
     sent until IoTDB has sealed them into TsFiles";

/// Answers a request.
pub(crate) fn answer(edge: &Edge, request: &control::Request) -> control::Answer {
    match request.command.as_str() {
        "status" => to_value(&report(edge)),
        "gaps" => to_value(&gaps(edge)),
        other => Err(format!("unknown command {other:?}: expected status or gaps")),
    }
}

/// A gap in the form in which it is listed.
pub(crate) fn gap_report(pipe: &str, dated: &DatedGap) -> GapReport {
    let DatedGap { recorded_ms, gap } = dated;
    GapReport {
        pipe: pipe.to_owned(),
        recorded_ms: *recorded_ms,
        reason: gap.reason.key(),
        explanation: gap.reason.explanation(),
        region: gap.place.region.to_string(),
        partition: gap.place.partition,
        space: gap.place.space.as_str(),
        file: gap.name.to_string(),
        files: gap.n_files,
        from_byte: gap.bytes.0,
        to_byte: gap.bytes.1,
        from_time: gap.times.map(|(start, _)| start),
        to_time: gap.times.map(|(_, end)| end),
        series: gap.unread.as_ref().and_then(|it| it.series.as_deref()).map(str::to_owned),
        points: gap.unread.as_ref().and_then(|it| it.n_points),
        cause: gap.unread.as_ref().map(|it| it.why.to_string()),
    }
}

fn to_value(report: &impl Serialize) -> control::Answer {
    serde_json::to_value(report).map_err(|error| error.to_string())
}

fn gaps(edge: &Edge) -> Vec<GapReport> {
    let pipes = edge.state.pipes.values();
    pipes
        .flat_map(|pipe| pipe.gaps.iter().map(|gap| gap_report(pipe.definition.name.as_str(), gap)))
        .collect()
}

fn report(edge: &Edge) -> Report {
    let state = &edge.state;
    let facts = &edge.facts;
    let unread = state.last_scan.iter().flat_map(|scan| &scan.unread);
    let broken =
        state.broken_pipes.iter().map(|(name, broken)| format!("pipe {name}: {}", broken.reason));
    Report {
        daemon: "tidegate-sender",
        version: env!("CARGO_PKG_VERSION"),
        pid: std::process::id(),
        sender_id: edge.identity.id.to_string(),
        epoch: edge.identity.epoch,
        uptime_ms: wall_clock_ms().saturating_sub(state.started_ms),
        source: SourceReport {
            data_dirs: facts.data_dirs.iter().map(|dir| dir.display().to_string()).collect(),
            precision: facts.precision.to_string(),
            iotdb_version: facts.iotdb_version.clone(),
            cluster_id: facts.cluster_id.clone(),
            data_node_id: facts.data_node_id,
            unread: unread.map(|unread| unread.reason.clone()).collect(),
            skipped: edge
                .scanner
                .skipped()
                .iter()
                .map(|it| SkippedReport {
                    region: it.region.to_string(),
                    reason: it.reason.clone(),
                })
                .collect(),
            pins: state.pins.totals.clone(),
        },
        pipes: state.pipes.values().map(|pipe| pipe_report(edge, pipe)).collect(),
        faults: state.definition_faults.iter().cloned().chain(broken).collect(),
        disk_full: state.disk_full.clone(),
        loop_turns: LoopReport {
            turns: state.n_turns,
            slow: state.n_slow_turns,
            slowest_us: u64::try_from(state.slowest_turn.as_micros()).unwrap_or(u64::MAX),
        },
        notes: once(NOT_SEALED.to_owned())
            .chain(state.setting_up.keys().map(|name| format!("pipe {name} is being set up")))
            .collect(),
    }
}

fn pipe_report(edge: &Edge, pipe: &Pipe) -> PipeReport {
    let connector = &pipe.definition.connector;
    let n_lanes = pipe.lanes.len();
    let regions: Vec<RegionReport> = pipe
        .source
        .status()
        .map(|(region, status)| {
            region_report(region.to_string(), crate::pipe::lane_of(region, n_lanes), status)
        })
        .collect();
    let slots = pipe.lanes.iter().filter_map(|&at| edge.state.lanes.get(at)?.as_ref());
    PipeReport {
        name: pipe.definition.name.as_str().to_owned(),
        state: "RUNNING",
        created_ms: pipe.created_ms,
        gateway: connector.gateway.name,
        e_language: connector.wraps_in_e_language(),
        dialect: match connector.dialect {
            Some(dialect) => dialect.to_string(),
            None => format!("auto ({})", pipe.wanted_dialect()),
        },
        notes: pipe.definition.notes.clone(),
        scans: pipe.source.n_scans(),
        pending_files: regions.iter().map(|it| it.history_files + it.realtime_files).sum(),
        pending_bytes: regions.iter().map(|it| it.history_bytes + it.realtime_bytes).sum(),
        sent_files: regions.iter().map(|it| it.sent_files).sum(),
        sent_bytes: regions.iter().map(|it| it.sent_bytes).sum(),
        gaps: pipe.n_gaps,
        damage: pipe.damage.clone(),
        lanes: slots.map(|slot| lane_report(slot, pipe)).collect(),
        regions,
    }
}

fn lane_report(slot: &LaneSlot, pipe: &Pipe) -> LaneReport {
    let lane = &slot.lane;
    let counters = lane.counters();
    LaneReport {
        number: slot.number,
        phase: match lane.phase() {
            Phase::Awaiting => "awaiting a reply",
            Phase::Connecting => "connecting",
            Phase::Greeting => "in handshake",
            Phase::Pausing => "pausing before the next call",
            Phase::Ready => "connected",
            Phase::Resting => "resting",
        },
        peer: pipe.definition.connector.node_urls[lane.peer()].to_string(),
        handshake: lane.agreed().map(|(form, _)| match form {
            HandshakeForm::V1 => "V1",
            HandshakeForm::V2 => "V2",
        }),
        dialect: lane.agreed().map(|(_, dialect)| dialect.to_string()),
        piece_bytes: lane.piece_bytes(),
        bytes_sent: slot.bytes_sent,
        calls: counters.calls,
        calls_failed: counters.calls_failed,
        replies: RepliesReport {
            ok: counters.ok,
            fail: counters.fail,
            closed: counters.closed,
            broken: counters.broken,
            timeout: counters.timed_out,
            illegal: counters.illegal,
        },
        item: slot.cargo.as_ref().map(|cargo| cargo.name.clone()),
        last_trouble: lane.last_trouble().map(str::to_owned),
        hint: slot.refusals.hint(pipe.dialect),
    }
}

fn region_report(region: String, lane: usize, status: StreamStatus) -> RegionReport {
    RegionReport {
        region,
        lane,
        history_files: status.history_files,
        history_bytes: status.history_bytes,
        realtime_files: status.realtime_files,
        realtime_bytes: status.realtime_bytes,
        held_files: status.held_files,
        pending_deletions: status.pending_deletions,
        unsealed_files: status.unsealed_files,
        sent_files: status.sent_files,
        sent_bytes: status.sent_bytes,
        tablet_files: status.tablet_files,
        excerpt_files: status.excerpt_files,
        outside_files: status.outside_files,
        short_files: status.short_files,
        resent_files: status.resent_files,
        covered_files: status.covered_files,
        sent_deletions: status.sent_deletions,
        pinned_files: status.pinned_files,
        pinned_bytes: status.pinned_bytes,
        orphaned_files: status.orphaned_files,
        vanished_files: status.vanished_files,
        superseded_files: status.superseded_files,
        last_sequence: status.last_sequence,
        watermark: status.watermark,
        awaits_scan: status.awaits_scan,
        aside: status
            .aside
            .into_iter()
            .map(|(file, reason)| AsideReport { file, reason })
            .collect(),
        blocked: status.blocked.map(|(file, reason)| AsideReport { file, reason }),
        last_trouble: status.last_trouble,
    }
}

/// `status` for people: what matters first.
pub(crate) fn render(report: &Value) -> String {
    use tidegate_daemon::text::bytes;
    use tidegate_daemon::text::duration_ms;
    let number = |value: &Value| value.as_u64().unwrap_or(0);
    let word = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let mut out = format!(
        "tidegate-sender {} (pid {}), up {}\nsource   {} IoTDB {}, time stamps in {}\n",
        word(&report["version"]),
        number(&report["pid"]),
        duration_ms(number(&report["uptime_ms"])),
        list(&report["source"]["data_dirs"]).iter().map(word).collect::<Vec<_>>().join(", "),
        word(&report["source"]["iotdb_version"]),
        word(&report["source"]["precision"]),
    );
    let mut troubles: Vec<String> = list(&report["faults"]).iter().map(word).collect();
    troubles.extend(list(&report["source"]["unread"]).iter().map(word));
    troubles.extend(report["disk_full"].as_str().map(|it| format!("disk full: {it}")));
    for skipped in list(&report["source"]["skipped"]) {
        let (region, reason) = (word(&skipped["region"]), word(&skipped["reason"]));
        out.push_str(&format!("skipped  region {region}: {reason}\n"));
    }
    let pins = &report["source"]["pins"];
    if number(&pins["files"]) + number(&pins["declined"]) > 0 {
        out.push_str(&format!(
            "pinned   {} files, {} ({} links, {} open, {} copies); {} more wait without a pin\n",
            number(&pins["files"]),
            bytes(number(&pins["bytes"])),
            number(&pins["links"]),
            number(&pins["open"]),
            number(&pins["copies"]),
            number(&pins["declined"]),
        ));
    }
    troubles.extend(pins["trouble"].as_str().map(|it| format!("pins: {it}")));
    for pipe in list(&report["pipes"]) {
        out.push_str(&format!(
            "\npipe {}: {}, gateway {}, dialect {}\n  sent     {} files, {}\n  pending  {} files, {}\n  gaps     {}\n",
            word(&pipe["name"]),
            word(&pipe["state"]),
            word(&pipe["gateway"]),
            word(&pipe["dialect"]),
            number(&pipe["sent_files"]),
            bytes(number(&pipe["sent_bytes"])),
            number(&pipe["pending_files"]),
            bytes(number(&pipe["pending_bytes"])),
            number(&pipe["gaps"]),
        ));
        for lane in list(&pipe["lanes"]) {
            let replies = &lane["replies"];
            let unanswered = ["closed", "broken", "timeout"].map(|key| number(&replies[key]));
            out.push_str(&format!(
                "  lane {}   {}, {}; replies ok {}, fail {}, none {}, illegal {}\n",
                number(&lane["number"]),
                word(&lane["peer"]),
                word(&lane["phase"]),
                number(&replies["ok"]),
                number(&replies["fail"]),
                unanswered.iter().sum::<u64>(),
                number(&replies["illegal"]),
            ));
            let told = [&lane["last_trouble"], &lane["hint"]].into_iter().filter_map(Value::as_str);
            let (pipe, lane) = (word(&pipe["name"]), number(&lane["number"]));
            troubles.extend(told.map(|told| format!("pipe {pipe} lane {lane}: {told}")));
        }
        for region in list(&pipe["regions"]) {
            out.push_str(&format!(
                "  region {}: history {} pending, real time {} pending ({} held), {} unsealed, {} sent, \
                 {} skipped (in compacted files that had left)\n",
                word(&region["region"]),
                number(&region["history_files"]),
                number(&region["realtime_files"]),
                number(&region["held_files"]),
                number(&region["unsealed_files"]),
                number(&region["sent_files"]),
                number(&region["covered_files"]),
            ));
            let [tablets, excerpts, outside] =
                ["tablet_files", "excerpt_files", "outside_files"].map(|key| number(&region[key]));
            if tablets + excerpts + outside > 0 {
                out.push_str(&format!(
                    "    {tablets} of the sent files left as tablets, {excerpts} as files of their wanted \
                     points; of {outside} others nothing is wanted\n"
                ));
            }
            let short = number(&region["short_files"]);
            if short > 0 {
                out.push_str(&format!(
                    "    {short} files left but for points that could not be read: tidegate-sender gaps\n"
                ));
            }
            let deletions = ["pending_deletions", "sent_deletions", "resent_files"];
            let [pending, sent, again] = deletions.map(|key| number(&region[key]));
            if pending + sent + again > 0 {
                out.push_str(&format!(
                    "    late deletions: {pending} pending, {sent} sent; {again} files sent again behind \
                     late ones\n"
                ));
            }
            let pins = ["pinned_files", "pinned_bytes", "orphaned_files"];
            let [pinned, pinned_bytes, orphaned] = pins.map(|key| number(&region[key]));
            if pinned > 0 {
                out.push_str(&format!(
                    "    pinned: {pinned} files, {}; {orphaned} of them are gone at the source\n",
                    bytes(pinned_bytes),
                ));
            }
            if region["awaits_scan"].as_bool() == Some(true) {
                troubles.push(format!(
                    "region {}: could not be read whole in the last scan; new files wait",
                    word(&region["region"])
                ));
            }
            if let Some(reason) = region["blocked"]["reason"].as_str() {
                troubles.push(format!("region {} waits: {reason}", word(&region["region"])));
            }
            for aside in list(&region["aside"]) {
                troubles.push(format!("set aside: {}", word(&aside["reason"])));
            }
        }
        out.extend(list(&pipe["notes"]).iter().map(|note| format!("  note: {}\n", word(note))));
        troubles.extend(list(&pipe["damage"]).iter().map(word));
    }
    for trouble in troubles {
        out.push_str(&format!("\n! {trouble}"));
    }
    for note in list(&report["notes"]) {
        out.push_str(&format!("\nnote: {}", word(&note)));
    }
    out.push('\n');
    out
}
