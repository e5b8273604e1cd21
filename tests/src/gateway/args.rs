//! The command line of `tidegate-gateway-sim`: decides how each knob is written.

use core::num::NonZeroU64;
use core::time::Duration;
use std::net::SocketAddr;
use std::net::ToSocketAddrs;
use std::path::PathBuf;

use clap::Parser;
use clap::builder::PossibleValuesParser;
use clap::builder::TypedValueParser;

use super::profile::Profile;
use super::rules::Config;
use super::rules::Faults;
use super::rules::Forwarding;
use super::rules::GivenUp;
use super::rules::OuterDown;
use super::rules::PortSet;
use super::rules::ResetPassing;
use super::rules::Restart;
use super::rules::Rules;

/// Rehearse a one-way lateral isolation gateway between two hosts.
///
/// Listens on the inner side, ends TCP there as the devices do, and forwards every byte to --target.
/// Back comes exactly one byte, 00 or ff, for each request; a second byte, another value, or a byte
/// nobody asked for cuts both sides with a reset. A request is what was forwarded since the last
/// byte that came back. Events go to stderr, one line each; `listening on ADDRESS` and, at the end,
/// the counters as one line of JSON go to stdout. SIGTERM and SIGINT stop it, SIGUSR1 prints the
/// counters.
#[derive(Clone, Debug, Parser)]
#[command(name = "tidegate-gateway-sim", version, after_long_help = EXAMPLES, max_term_width = 100)]
pub struct Args {
    /// Address to listen on, on the inner side; port 0 takes any free port and prints it
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9781")]
    listen: SocketAddr,

    /// The receiver on the outer side; a name is looked up once, at the start
    #[arg(long, value_name = "HOST:PORT", value_parser = resolve)]
    target: SocketAddr,

    /// The device: forward ones check the reply, syskeeper-2000-reverse demands E-language too,
    /// plain-tcp lets everything back
    #[arg(long, value_name = "NAME", default_value = "syskeeper-2000-forward",
          value_parser = profile_parser())]
    profile: Profile,

    /// Print each returned byte too
    #[arg(long, short)]
    verbose: bool,

    /// Write the counters to this file at the end and at SIGUSR1
    #[arg(long, value_name = "FILE")]
    stats_json: Option<PathBuf>,

    /// Largest request in bytes, E-language wrap included; longer ones are cut. 0 is no limit
    /// [default: 1048576, plain-tcp 4194304]
    #[arg(long, value_name = "BYTES", help_heading = LINE)]
    max_frame_bytes: Option<u64>,

    /// Delay of a request and its reply together, in milliseconds: half on the way out, half on the
    /// way back. It delays, it does not slow: up to 64 MiB are under way
    #[arg(long, value_name = "MS", default_value = "0", value_parser = millis, help_heading = LINE)]
    rtt_ms: Duration,

    /// Line rate on the way out in Mbit/s, shared by all connections [default: no limit]
    #[arg(long, value_name = "MBIT", value_parser = megabits, help_heading = LINE)]
    mbit: Option<NonZeroU64>,

    /// Every write to the outer side carries at most this many bytes
    #[arg(long, value_name = "BYTES", help_heading = LINE)]
    split: Option<NonZeroU64>,

    /// Split each request after its first BYTES bytes (4: inside the frame's first length)
    #[arg(long, value_name = "BYTES", help_heading = LINE)]
    split_at: Option<NonZeroU64>,

    /// Pause after a --split-at piece, so that the receiver sees it alone
    #[arg(long, value_name = "MS", default_value = "1", value_parser = millis,
          help_heading = LINE)]
    split_gap_ms: Duration,

    /// Hold bytes back for so long to join them into larger writes
    #[arg(long, value_name = "MS", default_value = "0", value_parser = millis,
          help_heading = LINE)]
    coalesce_ms: Duration,

    /// Cut connections on which no byte passed for so long [default: never]
    #[arg(long, value_name = "MS", value_parser = millis, help_heading = DEVICE)]
    idle_cut_ms: Option<Duration>,

    /// Restart the device every so often: all connections are cut
    #[arg(long, value_name = "MS", value_parser = millis, help_heading = DEVICE)]
    restart_every_ms: Option<Duration>,

    /// How long a restarting device resets new connections
    #[arg(long, value_name = "MS", default_value = "1000", value_parser = millis,
          help_heading = DEVICE)]
    restart_down_ms: Duration,

    /// New connections per minute and source address; more are reset [default: no limit]
    #[arg(long, value_name = "N", help_heading = DEVICE)]
    reconnect_limit: Option<u32>,

    /// Source ports that may connect, such as 40000-40003,40010; others are reset [default: all]
    #[arg(long, value_name = "PORTS", value_parser = PortSet::parse, help_heading = DEVICE)]
    allow_source_ports: Option<PortSet>,

    /// While the outer host is down, reset inner connections instead of holding them open and silent
    #[arg(long, help_heading = DEVICE)]
    reset_when_outer_down: bool,

    /// Pause between attempts to reach the outer host
    #[arg(long, value_name = "MS", default_value = "1000", value_parser = millis,
          help_heading = DEVICE)]
    outer_retry_ms: Duration,

    /// Accept, swallow every byte, never call the outer host, never answer
    #[arg(long, help_heading = DEVICE)]
    connect_then_silent: bool,

    /// Show a reset by the outer host to the inner side as an orderly close
    #[arg(long, help_heading = DEVICE)]
    reset_as_close: bool,

    /// Deliver bytes whose sender has gone meanwhile ("zombie frames") instead of dropping them
    #[arg(long, help_heading = DEVICE)]
    deliver_given_up: bool,

    /// Swallow every Nth reply
    #[arg(long, value_name = "N", help_heading = FAULTS)]
    lose_reply_every: Option<NonZeroU64>,

    /// Deliver every Nth reply so many milliseconds late
    #[arg(long, value_name = "N,MS", value_parser = every_and_millis, help_heading = FAULTS,
          conflicts_with = "late_reply")]
    late_reply_every: Option<(NonZeroU64, Duration)>,

    /// Deliver every Nth reply twice
    #[arg(long, value_name = "N", help_heading = FAULTS)]
    double_reply_every: Option<NonZeroU64>,

    /// Swallow a reply with this chance, 0 to 1
    #[arg(long, value_name = "CHANCE", default_value = "0", value_parser = chance,
          help_heading = FAULTS)]
    lose_reply: f64,

    /// Deliver a reply late with this chance, by so many milliseconds
    #[arg(long, value_name = "CHANCE,MS", value_parser = chance_and_millis,
          help_heading = FAULTS)]
    late_reply: Option<(f64, Duration)>,

    /// Deliver a reply twice with this chance, 0 to 1
    #[arg(long, value_name = "CHANCE", default_value = "0", value_parser = chance,
          help_heading = FAULTS)]
    double_reply: f64,

    /// Seed of the chances: the same seed plays the same faults to the same replies
    #[arg(long, value_name = "SEED", default_value = "0", help_heading = FAULTS)]
    fault_seed: u64,
}

impl Args {
    /// The gateway that they describe.
    pub fn config(&self) -> Config {
        let rules = Rules {
            rtt: self.rtt_ms,
            bytes_per_second: self.mbit,
            split_bytes: self.split,
            split_at: self.split_at,
            split_gap: self.split_gap_ms,
            coalesce: self.coalesce_ms,
            idle_cut: self.idle_cut_ms,
            restart: self
                .restart_every_ms
                .map(|every| Restart { every, down: self.restart_down_ms }),
            connections_per_minute: self.reconnect_limit,
            source_ports: self.allow_source_ports.clone().unwrap_or_else(PortSet::all),
            faults: self.faults(),
            outer_down: match self.reset_when_outer_down {
                true => OuterDown::Reset,
                false => OuterDown::Hold,
            },
            outer_retry: self.outer_retry_ms,
            forwarding: match self.connect_then_silent {
                true => Forwarding::Swallow,
                false => Forwarding::Pass,
            },
            reset_passing: match self.reset_as_close {
                true => ResetPassing::OrderlyClose,
                false => ResetPassing::Reset,
            },
            given_up: match self.deliver_given_up {
                true => GivenUp::Deliver,
                false => GivenUp::Drop,
            },
            ..Rules::new(self.profile)
        };
        let frame_bytes_max = match self.max_frame_bytes {
            Some(limit) => NonZeroU64::new(limit),
            None => rules.frame_bytes_max,
        };
        Config {
            listen: self.listen,
            target: self.target,
            rules: Rules { frame_bytes_max, ..rules },
        }
    }

    /// Where the counters go besides stdout.
    pub fn stats_json(&self) -> Option<&PathBuf> {
        self.stats_json.as_ref()
    }

    /// Whether events are printed that happen once per request.
    pub fn verbose(&self) -> bool {
        self.verbose
    }

    fn faults(&self) -> Faults {
        let (late_every, late_by_count) = self.late_reply_every.unzip();
        let (late_chance, late_by_chance) = self.late_reply.unzip();
        Faults {
            seed: self.fault_seed,
            lose_every: self.lose_reply_every,
            late_every,
            double_every: self.double_reply_every,
            lose_chance: self.lose_reply,
            late_chance: late_chance.unwrap_or(0.0),
            double_chance: self.double_reply,
            late_by: late_by_count.or(late_by_chance).unwrap_or_default(),
        }
    }
}

fn profile_parser() -> impl TypedValueParser<Value = Profile> {
    PossibleValuesParser::new(Profile::ALL.map(Profile::as_str))
        .try_map(|name| Profile::parse(&name).ok_or("no such profile"))
}

fn resolve(text: &str) -> Result<SocketAddr, String> {
    let mut addresses = text.to_socket_addrs().map_err(|error| error.to_string())?;
    addresses.next().ok_or_else(|| "the name has no address".to_owned())
}

fn millis(text: &str) -> Result<Duration, String> {
    let value: f64 = text.parse().map_err(|_| "expected milliseconds".to_owned())?;
    Duration::try_from_secs_f64(value / 1000.0)
        .ok()
        .filter(|time| *time <= LONGEST)
        .ok_or_else(|| "expected milliseconds from 0 to a year".to_owned())
}

fn megabits(text: &str) -> Result<NonZeroU64, String> {
    let value: f64 = text.parse().map_err(|_| "expected a number of Mbit/s".to_owned())?;
    // The cast saturates, and turns what is no number into zero.
    NonZeroU64::new((value * 1_000_000.0 / 8.0) as u64)
        .ok_or_else(|| "expected a rate of at least one byte a second".to_owned())
}

fn chance(text: &str) -> Result<f64, String> {
    text.parse()
        .ok()
        .filter(|chance| (0.0..=1.0).contains(chance))
        .ok_or_else(|| "expected a chance from 0 to 1".to_owned())
}

fn chance_and_millis(text: &str) -> Result<(f64, Duration), String> {
    let (left, right) = text.split_once(',').ok_or("expected CHANCE,MS")?;
    Ok((chance(left)?, millis(right)?))
}

fn every_and_millis(text: &str) -> Result<(NonZeroU64, Duration), String> {
    let (left, right) = text.split_once(',').ok_or("expected N,MS")?;
    let every = left.parse().map_err(|_| "expected N of at least 1 before the comma")?;
    Ok((every, millis(right)?))
}

/// Times beyond this are typing errors, and sums with them would leave the clock's range.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 3600);

const LINE: &str = "Line";
const DEVICE: &str = "Device";
const FAULTS: &str = "Faults of the way back";

const EXAMPLES: &str = "\
Rehearsals (the receiver listens on 10.0.0.2:9780; point the sender at port 9781 of this host):

  A device as measured in the field: 57 Mbit/s, 1.5 s from request to reply
    tidegate-gateway-sim --target 10.0.0.2:9780 --listen 0.0.0.0:9781 --mbit 57 --rtt-ms 1500

  Does my sender wrap requests in E-language?
    tidegate-gateway-sim --target 10.0.0.2:9780 --profile syskeeper-2000-reverse

  What does the sender say while the outer host is down? (stop the receiver, then)
    tidegate-gateway-sim --target 10.0.0.2:9780

  One reply in a hundred is lost, one in fifty is 20 s late, the same ones each time
    tidegate-gateway-sim --target 10.0.0.2:9780 --lose-reply 0.01 --late-reply 0.02,20000 \\
      --fault-seed 7

  A strict device: two source ports, six new connections a minute, cut after 30 s of silence
    tidegate-gateway-sim --target 10.0.0.2:9780 --allow-source-ports 40000-40001 \\
      --reconnect-limit 6 --idle-cut-ms 30000

  Restarts every five minutes and is away for ten seconds
    tidegate-gateway-sim --target 10.0.0.2:9780 --restart-every-ms 300000 --restart-down-ms 10000

Reasons of a cut: bad-e-prefix, bad-e-suffix, extra-bytes, frame-too-long, idle, illegal-byte,
outer-down, restart, second-byte. Reasons of a refusal: reconnect-limit, restarting, source-port,
too-many-open.";

#[cfg(test)]
mod tests {
    use super::*;

    fn config(line: &str) -> Config {
        let words = "sim --target 127.0.0.1:9780 ".to_owned() + line;
        Args::try_parse_from(words.split_whitespace()).expect(line).config()
    }

    #[test]
    fn every_knob_reaches_the_rules() {
        let rules = config(
            "--listen 127.0.0.1:0 --profile xj-forward --rtt-ms 1.5 --mbit 57 --split 7 \
             --split-at 4 --split-gap-ms 3 --coalesce-ms 2 --max-frame-bytes 1000 \
             --idle-cut-ms 30000 --restart-every-ms 5000 --restart-down-ms 100 --reconnect-limit 6 \
             --allow-source-ports 40000-40003,40010 --reset-when-outer-down --outer-retry-ms 50 \
             --connect-then-silent --reset-as-close --deliver-given-up --lose-reply-every 2 \
             --late-reply-every 3,250 --double-reply-every 5 --lose-reply 0.01 --double-reply 0.5 \
             --fault-seed 9",
        )
        .rules;
        let ms = Duration::from_millis;
        assert_eq!(rules.profile, Profile::XjForward);
        assert_eq!(rules.rtt, Duration::from_micros(1500));
        assert_eq!(rules.bytes_per_second, NonZeroU64::new(57_000_000 / 8));
        assert_eq!(rules.split_bytes, NonZeroU64::new(7));
        assert_eq!(rules.split_at, NonZeroU64::new(4));
        assert_eq!((rules.split_gap, rules.coalesce), (ms(3), ms(2)));
        assert_eq!(rules.frame_bytes_max, NonZeroU64::new(1000));
        assert_eq!(rules.idle_cut, Some(ms(30_000)));
        assert_eq!(rules.restart, Some(Restart { every: ms(5000), down: ms(100) }));
        assert_eq!(rules.connections_per_minute, Some(6));
        assert!(rules.source_ports.contains(40_003) && rules.source_ports.contains(40_010));
        assert!(!rules.source_ports.contains(40_004) && !rules.source_ports.contains(39_999));
        assert_eq!((rules.outer_down, rules.outer_retry), (OuterDown::Reset, ms(50)));
        assert_eq!(rules.forwarding, Forwarding::Swallow);
        assert_eq!(rules.reset_passing, ResetPassing::OrderlyClose);
        assert_eq!(rules.given_up, GivenUp::Deliver);
        assert_eq!(rules.faults.lose_every, NonZeroU64::new(2));
        assert_eq!(rules.faults.late_every, NonZeroU64::new(3));
        assert_eq!(rules.faults.late_by, ms(250));
        assert_eq!(rules.faults.double_every, NonZeroU64::new(5));
        assert_eq!((rules.faults.lose_chance, rules.faults.double_chance), (0.01, 0.5));
        assert_eq!(rules.faults.seed, 9);
    }

    #[test]
    fn the_frame_limit_is_the_profiles_unless_given() {
        assert_eq!(config("").rules.frame_bytes_max, NonZeroU64::new(1 << 20));
        assert_eq!(config("--profile plain-tcp").rules.frame_bytes_max, NonZeroU64::new(4 << 20));
        assert_eq!(config("--max-frame-bytes 0").rules.frame_bytes_max, None);
    }

    #[test]
    fn nonsense_is_refused() {
        for line in [
            "--profile foo",
            "--rtt-ms -1",
            "--rtt-ms 1e300",
            "--rtt-ms NaN",
            "--mbit 0",
            "--split 0",
            "--lose-reply 1.1",
            "--lose-reply NaN",
            "--late-reply-every 3",
            "--late-reply-every 0,5",
            "--late-reply 0.5",
            "--allow-source-ports 5-4",
            "--allow-source-ports 70000",
            "--late-reply 0.5,1 --late-reply-every 1,1",
        ] {
            let words = "sim --target 127.0.0.1:9780 ".to_owned() + line;
            assert!(Args::try_parse_from(words.split_whitespace()).is_err(), "{line}");
        }
    }
}
