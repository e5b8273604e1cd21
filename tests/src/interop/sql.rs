//! The same statements, asked of a real IoTDB and of our store that has the same points: the same
//! answers, or both an error.

use anyhow::Result;
use anyhow::bail;

use super::play::Crossed;
use super::play::Play;
use super::play::START_MS;
use super::play::Towards;
use super::rig::Rig;
use super::rig::Role;
use super::rig::Route;
use super::rig::Shown;
use crate::stored;
use crate::stored::Answer;

/// Answers that differ and are shown.
const SHOWN_MAX: usize = 12;

/// Fixed statements and as many random ones as are wanted.
pub(super) fn same_answers(rig: &mut Rig, n_random: usize) -> Result<Shown> {
    let mut play = Play::begin(rig, Role::Compacting, Towards::Store, Route::FORWARD)?;
    play.stop_compaction()?;
    play.start_sender()?;
    for _ in 0..25 {
        play.write_round()?;
    }
    play.run_all(ALL_TYPES)?;
    for _ in 0..4 {
        play.delete_round()?;
        play.write_round()?;
    }
    play.run("sql FLUSH")?;
    let crossed = play.let_all_cross(&[])?;
    let Crossed::Stored(receiver) = &crossed else { bail!("expected a store") };
    let mut statements: Vec<String> = FIXED.iter().map(|it| (*it).to_owned()).collect();
    statements.extend((0..n_random).map(|_| random(&mut play.rng)));
    let (mut n_cells, mut n_refused, mut differences) = (0, 0, Vec::new());
    for statement in &statements {
        let theirs = play.rig.query(Role::Compacting, statement);
        let ours = stored::ask(receiver, statement);
        match (&theirs, &ours) {
            (Err(_), Err(_)) => n_refused += 1,
            (Ok(theirs), Ok(ours)) => {
                let is_inexact = ["sum(", "avg("].iter().any(|it| statement.contains(it));
                match difference(theirs, ours, is_inexact) {
                    None => n_cells += theirs.rows.iter().map(|row| row.len() as u64).sum::<u64>(),
                    Some(what) => differences.push(format!("{statement}\n      {what}")),
                }
            }
            (Err(error), Ok(_)) => {
                differences.push(format!("{statement}\n      theirs: {error:#}"))
            }
            (Ok(_), Err(error)) => differences.push(format!("{statement}\n      ours: {error:#}")),
        }
    }
    if !differences.is_empty() {
        let shown = differences.iter().take(SHOWN_MAX).cloned().collect::<Vec<_>>().join("\n    ");
        bail!(
            "seed {}: {} of {} statements are answered differently\n    {shown}",
            play.rig.seed,
            differences.len(),
            statements.len()
        );
    }
    if n_refused * 4 > statements.len() {
        bail!("{n_refused} of {} statements were refused by both", statements.len());
    }
    let compared = format!(
        "{} statements, {n_refused} refused by both: cells of the store = live source, seed {}",
        statements.len(),
        play.rig.seed
    );
    Ok(Shown { compared, n_points: n_cells })
}

/// What differs first. What a pattern means comes in no order of IoTDB's: columns are put into one order,
/// and so are rows without an order of times.
fn difference(theirs: &Answer, ours: &Answer, is_inexact: bool) -> Option<String> {
    let (theirs, ours) = (in_order(theirs), in_order(ours));
    if theirs.names != ours.names {
        return Some(format!("columns: theirs {:?}, ours {:?}", theirs.names, ours.names));
    }
    let pairs = theirs.rows.iter().zip(&ours.rows);
    let is_last = theirs.names.iter().any(|name| name == "Timeseries");
    let is_float = |at: usize| is_last || theirs.names[at].contains("s_float");
    let is_same = |at: usize, one: &Option<String>, other: &Option<String>| match (one, other) {
        (Some(one), Some(other)) => {
            // of 496116.625 Java before 19 shows .62, which is the same FLOAT
            is_same_cell(one, other, is_inexact)
                || is_float(at) && one.parse::<f32>() == other.parse::<f32>()
        }
        (None, None) => true,
        _ => false,
    };
    for (number, (one, other)) in pairs.enumerate() {
        let mut cells = one.iter().zip(other).enumerate();
        if one.len() != other.len() || !cells.all(|(at, (one, other))| is_same(at, one, other)) {
            return Some(format!("row {number}: theirs {one:?}, ours {other:?}"));
        }
    }
    let (theirs, ours) = (theirs.rows.len(), ours.rows.len());
    (theirs != ours).then(|| format!("rows: theirs {theirs}, ours {ours}"))
}

fn in_order(answer: &Answer) -> Answer {
    let mut order: Vec<usize> = (0..answer.names.len()).collect();
    order.sort_by_key(|&at| &answer.names[at]);
    let names: Vec<String> = order.iter().map(|&at| answer.names[at].clone()).collect();
    let of_row = |row: &Vec<Option<String>>| order.iter().map(|&at| row[at].clone()).collect();
    let mut rows: Vec<Vec<Option<String>>> = answer.rows.iter().map(of_row).collect();
    // of SELECT LAST and of SHOW
    if names.iter().any(|name| name == "Timeseries") || !names.iter().any(|name| name == "Time") {
        rows.sort();
    }
    Answer { names, rows }
}

/// Sums depend on the order in which they are made.
fn is_same_cell(one: &str, other: &str, is_inexact: bool) -> bool {
    if one == other {
        return true;
    }
    let has_point = |text: &str| text.contains(['.', 'E', 'N', 'I']);
    match (one.parse::<f64>(), other.parse::<f64>()) {
        (Ok(one), Ok(other)) if has_point(&format!("{one:?}{other:?}")) => match is_inexact {
            true => (one - other).abs() <= 1e-9 * one.abs().max(other.abs()),
            false => one.to_bits() == other.to_bits(),
        },
        _ => false,
    }
}

const NUMBERS: [&str; 4] = ["s_int32", "s_int64", "s_float", "s_double"];
const SERIES: [&str; 6] = ["s_int32", "s_int64", "s_float", "s_double", "s_boolean", "s_text"];

fn random(rng: &mut fastrand::Rng) -> String {
    match rng.u32(0..10) {
        0..=4 => random_rows(rng),
        5..=8 => random_aggregate(rng),
        _ => {
            let series = SERIES[rng.usize(..SERIES.len())];
            format!("SELECT LAST {series} FROM {}", one_device(rng))
        }
    }
}

fn one_device(rng: &mut fastrand::Rng) -> &'static str {
    const DEVICES: [&str; 6] =
        ["root.o1.d1", "root.o2.d1", "root.o1.a1", "root.o2.a1", "root.o1.d2", "root.o1.all"];
    DEVICES[rng.usize(..DEVICES.len())]
}

fn from(rng: &mut fastrand::Rng) -> &'static str {
    const FROM: [&str; 5] =
        ["root.o1.d1, root.o2.d1", "root.*.d1", "root.o1.*", "root.o1.d1, root.o1.a1", "root.**"];
    match rng.bool() {
        true => one_device(rng),
        false => FROM[rng.usize(..FROM.len())],
    }
}

fn random_rows(rng: &mut fastrand::Rng) -> String {
    let items = match rng.u32(0..4) {
        0 => "*".to_owned(),
        1 => SERIES[rng.usize(..SERIES.len())].to_owned(),
        _ => {
            let (one, other) = (rng.usize(..SERIES.len()), rng.usize(1..SERIES.len()));
            format!("{}, {}", SERIES[one], SERIES[(one + other) % SERIES.len()])
        }
    };
    let from = from(rng);
    let condition = condition(rng);
    let order = ["", " ORDER BY TIME DESC", " ORDER BY TIME ASC"][rng.usize(0..3)];
    let by_device = rng.u32(0..5) == 0 && !order.contains("DESC");
    let pages = match rng.u32(0..3) {
        0 => format!(" LIMIT {}", rng.u32(1..40)),
        1 => format!(" LIMIT {} OFFSET {}", rng.u32(1..40), rng.u32(0..200)),
        _ => String::new(),
    };
    let align = if by_device { " ALIGN BY DEVICE" } else { "" };
    // IoTDB orders all rows by time then, we do those of each device
    let order = if by_device { "" } else { order };
    format!("SELECT {items} FROM {from}{condition}{order}{pages}{align}")
}

fn random_aggregate(rng: &mut fastrand::Rng) -> String {
    const FUNCTIONS: [&str; 9] = [
        "count",
        "sum",
        "avg",
        "min_value",
        "max_value",
        "first_value",
        "last_value",
        "min_time",
        "max_time",
    ];
    let mut items = Vec::new();
    for _ in 0..rng.usize(1..4) {
        let function = FUNCTIONS[rng.usize(..FUNCTIONS.len())];
        let of_any = ["count", "first_value", "last_value", "min_time", "max_time"];
        let series = match of_any.contains(&function) {
            true => SERIES[rng.usize(..SERIES.len())],
            false => NUMBERS[rng.usize(..NUMBERS.len())],
        };
        let item = format!("{function}({series})");
        if !items.contains(&item) {
            items.push(item);
        }
    }
    let from = from(rng);
    let (condition, windows) = match rng.u32(0..3) {
        0 => {
            let start = START_MS + rng.u64(0..1500);
            let (length, width) = (rng.u64(1..2000), rng.u64(10..400));
            let step = match rng.u32(0..3) {
                0 => format!(", {}ms", rng.u64(5..600)),
                _ => String::new(),
            };
            let end = start + length;
            let windows = match rng.u32(0..4) {
                0 => format!(" GROUP BY (({start}, {end}], {width}ms{step})"),
                _ => format!(" GROUP BY ([{start}, {end}), {width}ms{step})"),
            };
            (String::new(), windows)
        }
        _ => (condition(rng), String::new()),
    };
    format!("SELECT {} FROM {from}{condition}{windows}", items.join(", "))
}

fn condition(rng: &mut fastrand::Rng) -> String {
    let start = START_MS + rng.u64(0..1500);
    let end = start + rng.u64(1..800);
    let series = NUMBERS[rng.usize(..NUMBERS.len())];
    let number = rng.u64(0..2_000_000);
    let times = format!("time >= {start} AND time < {end}");
    match rng.u32(0..9) {
        0..=2 => format!(" WHERE {times}"),
        3 => format!(" WHERE {series} > {number}"),
        4 => format!(" WHERE {series} <= {number} AND {times}"),
        5 => format!(" WHERE s_boolean = true AND time > {start}"),
        6 => format!(" WHERE ({series} < {number} OR s_boolean = false) AND time <= {end}"),
        7 => format!(" WHERE {series} IS NOT NULL AND time < {end}"),
        _ => String::new(),
    }
}

/// One device with every type, and rows of every device that no deletion reaches: IoTDB remembers series
/// without points, and we do not.
const ALL_TYPES: &str = "
    tablet root.o1.a1,root.o2.a1 true 1699999000000 30 3 504 basic
    tablet root.o1.d1,root.o2.d1,root.o1.d2,root.o2.d2 false 1699999000010 30 2 505 basic
    tablet root.o1.all false 1700000000000 300 3 501 all
    sql FLUSH
    tablet root.o1.all false 1700000000100 50 2 502 all
    sql FLUSH
";

const FIXED: &[&str] = &[
    "SELECT * FROM root.o1.all",
    "SELECT * FROM root.o1.d1",
    "SELECT ** FROM root.o1",
    "SELECT ** FROM root",
    "SELECT d1.s_int32, a1.s_text FROM root.o1",
    "SELECT s_int32 AS wanted FROM root.o1.d1 LIMIT 3",
    "SELECT * FROM root.*.a1 ALIGN BY DEVICE",
    "SELECT s_int32, s_double FROM root.o1.d1, root.o2.d1 ALIGN BY DEVICE",
    "SELECT count(*) FROM root.o1.d1",
    "SELECT count(*) FROM root.**",
    "SELECT count(s_int32), count(s_text) FROM root.*.*",
    "SELECT first_value(*), last_value(*) FROM root.o1.all",
    "SELECT min_value(s_date), max_value(s_date), min_value(s_timestamp) FROM root.o1.all",
    "SELECT max_value(s_string), min_value(s_string) FROM root.o1.all",
    "SELECT min_time(*), max_time(*) FROM root.o1.a1",
    "SELECT sum(s_int32), avg(s_double) FROM root.o1.d1 WHERE time > 1700000000100",
    "SELECT count(s_int32) FROM root.o1.d1 WHERE s_boolean = true",
    "SELECT count(s_int32) FROM root.o1.d1 GROUP BY ([1700000000000, 1700000000500), 100ms)",
    "SELECT avg(s_float) FROM root.o1.a1 GROUP BY ([1700000000000, 1700000000500), 70ms, 110ms)",
    "SELECT last_value(s_text) FROM root.o1.d1 GROUP BY ((1700000000000, 1700000000500], 100ms)",
    "SELECT LAST * FROM root.o1.d1",
    "SELECT LAST s_timestamp, s_string FROM root.o1.all",
    "SELECT LAST s_int32 FROM root.**",
    "SELECT LAST s_int32, s_text FROM root.o1.d1, root.o1.a1",
    "SELECT s_text FROM root.o1.d1 WHERE s_text LIKE '%1%' LIMIT 20",
    "SELECT s_int32 FROM root.o1.d1 WHERE s_int32 BETWEEN 100000 AND 900000",
    "SELECT s_int32 FROM root.o1.d1 WHERE s_int32 NOT BETWEEN 100000 AND 900000",
    "SELECT s_int32 FROM root.o1.d1 WHERE s_int32 IN (291919, 537408)",
    "SELECT s_int32 FROM root.o1.d1 WHERE time = 1700000000001",
    "SELECT s_boolean FROM root.o1.d1 WHERE s_boolean = false ORDER BY TIME DESC LIMIT 7",
    "SELECT s_int32 FROM root.o1.d1 WHERE s_int32 IS NULL",
    "SELECT s_int32, s_text FROM root.o1.a1 WHERE s_int32 IS NULL AND s_text IS NOT NULL",
    "SELECT s_date FROM root.o1.all WHERE s_date > '2024-03-01'",
    "SELECT s_string FROM root.o1.all WHERE s_string = 's3977000'",
    "SELECT s_int32 FROM root.o1.nobody",
    "SELECT nothing FROM root.o1.d1",
    "SELECT s_int32 FROM root.o1.d1 WHERE nothing > 1",
    "SELECT s_text + 1 FROM",
    "SELECT sum(s_text) FROM root.o1.d1",
    "SELECT s_date FROM root.o1.all WHERE s_date IN ('2024-03-01', '2026-09-10')",
    "COUNT TIMESERIES root.o1.d1.*",
    "COUNT TIMESERIES root.o1.**",
    "COUNT DEVICES root.o1.*",
];
