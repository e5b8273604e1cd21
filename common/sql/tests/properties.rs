//! What holds for every statement: it is shown so that it reads back, and no text whatever panics or
//! points outside of itself.

use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use tidegate_model::Precision;
use tidegate_sql::Reason;
use tidegate_sql::SqlError;
use tidegate_sql::Statement;
use tidegate_sql::parse;
use tidegate_sql::time::TimeContext;
use tidegate_sql::time::UtcOffset;

fn context() -> TimeContext {
    let offset = UtcOffset::from_minutes(-150).expect("an offset");
    TimeContext { precision: Precision::Us, offset, now: 1_700_000_000_000_000 }
}

/// Statements that every clause occurs in.
const STATEMENTS: &[&str] = &[
    "SELECT s1, `a.b` AS x, **.s*, d1.* FROM root.sg, root.`a``b`.** WHERE (s1 > 1.5e3 OR NOT s2 IS \
     NOT NULL) AND time BETWEEN 2011-12-03T10:15:30.123+01:00 AND now() - 1d12h ORDER BY TIME DESC \
     LIMIT 10 OFFSET 5 ALIGN BY DEVICE;",
    "select count(*), last_value(d.s) from root.a where s like 'a%' escape '!' and time in (1, -2) \
     group by ((2011/12/03, 2012.1.3 00:00:00], 1mo2d, 5ms)",
    "SELECT LAST s1 /* the */, * FROM root.a -- it\n WHERE TIMESTAMP >= '2011-12-03' & true LIMIT 3",
    "SHOW TIMESERIES root.**.温度 LIMIT 5 OFFSET 2",
    "SHOW DEVICES root.a*",
    "SHOW STORAGE GROUP root.*",
    "COUNT TIMESERIES root.a.\"x\"",
    "COUNT DEVICES root.a;",
    "INSERT INTO root.a(time, s1) VALUES (1, 'it''s')",
];

/// Whether a refusal can be shown to somebody.
fn check_error(text: &str, error: &SqlError) -> Result<(), TestCaseError> {
    prop_assert!(text.is_char_boundary(error.offset()), "{:?}", error);
    let shown = error.to_string();
    let lines: Vec<&str> = shown.split('\n').collect();
    prop_assert_eq!(lines.len(), 3, "{}", shown);
    prop_assert!(shown.len() < 2_000, "{}", shown);
    let caret = lines[2].chars().count();
    prop_assert!(caret <= lines[1].chars().count() + 41 && lines[2].ends_with('^'), "{}", shown);
    prop_assert!(!shown.chars().any(|it| it.is_control() && it != '\n'), "{:?}", shown);
    Ok(())
}

/// Parses, and if it is a statement, shows it and parses that.
fn check(text: &str) -> Result<Option<Statement>, TestCaseError> {
    match parse(text, &context()) {
        Ok(statement) => {
            let shown = statement.to_string();
            match parse(&shown, &context()) {
                Ok(again) => prop_assert_eq!(&again, &statement, "{}\n{}", text, shown),
                // What was written short may be too long when it is shown.
                Err(error) => prop_assert!(
                    matches!(error.reason(), Reason::TooMuch { .. }),
                    "{}\n{}\n{}",
                    text,
                    shown,
                    error
                ),
            }
            Ok(Some(statement))
        }
        Err(error) => check_error(text, &error).map(|()| None),
    }
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z_][a-z0-9_]{0,4}",
        "[0-9]{1,2}[dhsw]",
        "[0-9]x[0-9]{0,2}",
        "温度[0-9]?",
        prop::sample::select(
            &["limit", "From", "last", "count", "in", "by", "`not`", "`time`", "`root`x"][..7]
        )
        .prop_map(str::to_owned),
        "`[a-z.*'\" 中-]{1,5}`",
        "`[0-9]{1,3}`",
        "`a``[a-z]`",
    ]
}

fn node() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => name(),
        1 => Just("*".to_owned()),
        1 => Just("**".to_owned()),
        1 => "([a-z_][a-z0-9]{0,2}|[0-9]{1,2})\\*",
        1 => "\\*([a-z_][a-z0-9]{0,2}|[0-9]{1,2})\\*?",
    ]
}

fn path() -> impl Strategy<Value = String> {
    prop::collection::vec(node(), 1..4).prop_map(|it| it.join("."))
}

fn full_path() -> impl Strategy<Value = String> {
    prop::collection::vec(node(), 0..4)
        .prop_map(|it| it.iter().fold("ROOT".to_lowercase(), |path, node| format!("{path}.{node}")))
}

fn number() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<i64>().prop_map(|it| it.to_string()),
        "-?[0-9]{1,5}\\.[0-9]{1,5}",
        "\\+?\\.[0-9]{1,5}",
        "-?[0-9]{1,3}e-?[0-9]{1,2}",
        "[0-9]{1,3}\\.[0-9]{1,3}E\\+[0-9]{1,2}",
        any::<f64>().prop_filter("finite", |it| it.is_finite()).prop_map(|it| format!("{it:?}")),
    ]
}

fn interval() -> impl Strategy<Value = String> {
    "([1-9][0-9]{0,2}(y|mo|w|d|h|m|s|ms|us)){1,3}"
}

fn time() -> impl Strategy<Value = String> {
    let date_time = (
        1700..2200,
        1..=12,
        1..=28,
        0..24,
        0..1_000_000,
        prop::sample::select(&["-", "/", "."][..]),
        prop::sample::select(&["T", " ", "  "][..]),
        prop::sample::select(&["", "Z", "+01:00", "-12:30"][..]),
    )
        .prop_map(|(y, m, d, h, us, it, t, zone)| {
            format!("{y}{it}{m:02}{it}{d}{t}{h:02}:01:59.{us:06}{zone}")
        });
    let moved = (prop::sample::select(&["now()", "2011-12-03"][..]), interval());
    prop_oneof![
        any::<i64>().prop_map(|it| it.to_string()),
        date_time.clone(),
        date_time.prop_map(|it| format!("'{it}'")),
        moved.prop_map(|(from, by)| format!("{from} - {by}")),
    ]
}

fn literal() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => number(),
        1 => prop::sample::select(&["TRUE", "false"][..]).prop_map(str::to_owned),
        2 => "'[a-z \"`%中\\\\]{0,5}('')?'",
        1 => "\"[a-z '`]{0,5}(\"\")?\"",
        1 => "X'([0-9a-fA-F]{2}){0,3}'",
    ]
}

fn condition() -> impl Strategy<Value = String> {
    let comparison = || prop::sample::select(&["=", "==", "!=", "<>", "<", "<=", ">", ">="][..]);
    let series = || prop_oneof![path(), full_path()];
    let leaf = prop_oneof![
        (comparison(), time()).prop_map(|(it, time)| format!("time {it} {time}")),
        (comparison(), time()).prop_map(|(it, time)| format!("{time} {it} TIMESTAMP")),
        (time(), time()).prop_map(|(from, to)| format!("time NOT BETWEEN {from} AND {to}")),
        prop::collection::vec(time(), 1..4).prop_map(|it| format!("time in ({})", it.join(","))),
        (series(), comparison(), literal()).prop_map(|(it, by, to)| format!("{it} {by} {to}")),
        (literal(), comparison(), series()).prop_map(|(it, by, to)| format!("{it} {by} {to}")),
        (series(), literal(), literal()).prop_map(|(it, a, b)| format!("{it} BETWEEN {a} && {b}")),
        (series(), prop::collection::vec(literal(), 1..4))
            .prop_map(|(it, list)| format!("{it} NOT IN ({})", list.join(" , "))),
        (series(), "(not )?").prop_map(|(it, not)| format!("{it} is {not}null")),
        (series(), "[a%_x]{0,5}").prop_map(|(it, like)| format!("{it} like '{like}'")),
        (series(), "[a%_b'%']{0,5}")
            .prop_map(|(it, like)| format!("{it} like '{}' escape '!'", like.replace('\'', "''"))),
        Just("NULL".to_owned()),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 2..4)
                .prop_map(|it| format!("({})", it.join(" OR "))),
            prop::collection::vec(inner.clone(), 2..4)
                .prop_map(|it| format!("({})", it.join(" && "))),
            prop::collection::vec(inner.clone(), 2..4).prop_map(|it| it.join(" AND ")),
            inner.prop_map(|it| format!("NOT ({it})")),
        ]
    })
}

fn clause(head: &'static str, it: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    prop::option::of(it).prop_map(move |it| it.map_or(String::new(), |it| format!(" {head} {it}")))
}

fn statement() -> impl Strategy<Value = String> {
    let alias = || clause("AS", prop_oneof![name(), "'[a-z `]{1,4}'"]);
    let function = prop::sample::select(
        &[
            "COUNT",
            "min_value",
            "MAX_VALUE",
            "first_value",
            "Last_Value",
            "SUM",
            "avg",
            "min_time",
            "MAX_TIME",
        ][..],
    );
    let list =
        |it: BoxedStrategy<String>| prop::collection::vec(it, 1..4).prop_map(|it| it.join(", "));
    let series = (path(), alias()).prop_map(|(path, alias)| format!("{path}{alias}")).boxed();
    let aggregate = (function, path(), alias())
        .prop_map(|(function, path, alias)| format!("{function}( {path} ){alias}"))
        .boxed();
    let from = || list(full_path().boxed());
    let windows =
        (any::<i64>(), 1..1_000_000i64, interval(), prop::option::of(interval()), any::<bool>())
            .prop_map(|(start, length, interval, step, is_closed)| {
                let start = start.min(i64::MAX - length);
                let step = step.map_or(String::new(), |it| format!(", {it}"));
                let end = start + length;
                match is_closed {
                    true => format!("([{start}, {end}), {interval}{step})"),
                    false => format!("TIME(({start}, {end}], {interval}{step})"),
                }
            });
    let page = || {
        (clause("LIMIT", "[1-9][0-9]{0,3}"), clause("OFFSET", "[0-9]{1,4}"))
            .prop_map(|(limit, offset)| format!("{limit}{offset}"))
    };
    let order = clause("ORDER BY TIME", "(ASC|desc)?");
    let align = clause("ALIGN BY", "(TIME|Device)");
    let items = prop_oneof![
        list(series).prop_map(|it| (it, String::new())).boxed(),
        (list(aggregate), clause("GROUP BY", windows)).boxed(),
    ];
    let select = (items, from(), clause("WHERE", condition()), order, page(), align).prop_map(
        |((items, group_by), from, filter, order, page, align)| {
            format!("SELECT {items} FROM {from}{filter}{group_by}{order}{page}{align}")
        },
    );
    let last = (list(path().boxed()), from(), clause("WHERE time >", time()), page()).prop_map(
        |(items, from, filter, page)| format!("SELECT LAST {items} FROM {from}{filter}{page}"),
    );
    let show = (
        prop::sample::select(
            &[
                "SHOW TIMESERIES",
                "show devices",
                "SHOW DATABASES",
                "COUNT TIMESERIES",
                "count Devices",
            ][..],
        ),
        clause("", full_path()),
        page(),
    )
        .prop_map(|(head, pattern, page)| {
            match head.contains('D') || head.starts_with('C') || head.starts_with('c') {
                true => format!("{head}{pattern}"),
                false => format!("{head}{pattern}{page}"),
            }
        });
    prop_oneof![6 => select, 1 => last, 1 => show]
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 3_000,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(20_240_501),
        ..ProptestConfig::default()
    })]

    #[test]
    fn every_statement_is_taken_and_is_shown_so_that_it_reads_back(text in statement()) {
        if let Err(error) = parse(&text, &context()) {
            prop_assert!(false, "{}\n{}", text, error);
        }
        check(&text)?;
        check(&format!("{text} ;"))?;
    }

    #[test]
    fn no_beginning_of_a_statement_panics(text in statement(), cut: prop::sample::Index) {
        let ends: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
        check(&text[..ends[cut.index(ends.len())]])?;
    }

    #[test]
    fn no_mutated_statement_panics(
        text in statement(),
        other in statement(),
        cuts: [prop::sample::Index; 3],
        put in "[-'\"`*()\\[\\],.;0-9a-z /\n\u{0}\u{202e}中ä]{0,3}",
    ) {
        let cut = |text: &str, at: prop::sample::Index| {
            let ends: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
            ends[at.index(ends.len())]
        };
        let (a, b) = (cut(&text, cuts[0]), cut(&text, cuts[1]));
        check(&format!("{}{put}{}", &text[..a], &text[b..]))?;
        check(&format!("{}{put}{}", &text[..a], &other[cut(&other, cuts[2])..]))?;
    }

    #[test]
    fn no_bytes_panic(bytes: Vec<u8>, head in 0..STATEMENTS.len()) {
        let text = String::from_utf8_lossy(&bytes);
        check(&text)?;
        check(&format!("{}{text}", STATEMENTS[head]))?;
    }

    #[test]
    fn no_heap_of_tokens_panics(
        tokens in prop::collection::vec(prop::sample::select(&[
            "SELECT", "LAST", "s1", "count", "*", "**", "(", ")", "[", "]", ",", ".", "FROM", "root",
            "WHERE", "time", "NOT", "AND", "OR", "IN", "IS", "NULL", "BETWEEN", "LIKE", "'x'", "`a`",
            "1", "1.5", "1e5", "1d", "1mo", "2011-12-03", "now()", "-", "+", "<", "=", "GROUP", "BY",
            "ORDER", "DESC", "LIMIT", "OFFSET", "ALIGN", "DEVICE", "AS", "SHOW", "TIMESERIES", ";",
        ][..]), 0..20),
        blank in "[ ]?",
    ) {
        check(&tokens.join(&blank))?;
        check(&format!("SELECT s1 FROM root.a WHERE {}", tokens.join(" ")))?;
    }
}

#[test]
fn every_beginning_of_every_clause_is_refused_or_reads_back() {
    let mut n_taken = 0;
    for text in STATEMENTS {
        for (at, it) in text.char_indices() {
            let beginning = &text[..at + it.len_utf8()];
            n_taken += usize::from(check(beginning).expect(beginning).is_some());
        }
    }
    assert!(50 < n_taken, "{n_taken}");
}
