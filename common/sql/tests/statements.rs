//! Statements and what they say; statements that are refused, and how.

use tidegate_model::Precision;
use tidegate_sql::Align;
use tidegate_sql::Bounds;
use tidegate_sql::COLUMNS_MAX;
use tidegate_sql::Comparison;
use tidegate_sql::Condition;
use tidegate_sql::DEPTH_MAX;
use tidegate_sql::Function;
use tidegate_sql::Item;
use tidegate_sql::LIKE_BYTES_MAX;
use tidegate_sql::Literal;
use tidegate_sql::Order;
use tidegate_sql::Reason;
use tidegate_sql::STATEMENT_BYTES_MAX;
use tidegate_sql::Select;
use tidegate_sql::SqlError;
use tidegate_sql::Statement;
use tidegate_sql::TimeTest;
use tidegate_sql::ValueTest;
use tidegate_sql::parse;
use tidegate_sql::time::TimeContext;
use tidegate_sql::time::UtcOffset;

/// 2011-12-03T10:15:30+01:00.
const SOME_TIME: i64 = 1_322_903_730_000;

fn context() -> TimeContext {
    let offset = UtcOffset::from_minutes(60).expect("an offset");
    TimeContext { precision: Precision::Ms, offset, now: SOME_TIME }
}

fn parsed(text: &str) -> Statement {
    parse(text, &context()).unwrap_or_else(|error| panic!("{text}\n{error}"))
}

fn select(text: &str) -> Select {
    match parsed(text) {
        Statement::Select(select) => select,
        other => panic!("{text} became {other:?}"),
    }
}

fn refused(text: &str) -> SqlError {
    match parse(text, &context()) {
        Err(error) => error,
        Ok(statement) => panic!("{text} became {statement:?}"),
    }
}

/// The condition of a statement that ends with this one.
fn condition(text: &str) -> Condition {
    let select = select(&format!("SELECT s1 FROM root.d1 WHERE {text}"));
    select.filter.expect("a condition").condition().clone()
}

fn check_shown(text: &str, expected: &str) {
    assert_eq!(parsed(text).to_string(), expected, "{text}");
}

fn check_refused(text: &str, expected: &str) {
    let shown = refused(text).to_string();
    assert!(shown.contains(expected), "{text}\n{shown}\nlacks\n{expected}");
}

#[test]
fn every_clause_of_a_query_is_taken() {
    let it = select(
        "select d1.s1 as a, `a.b`, s*, **, *.s1 from root.sg, root.`x-y`.* where s1 > 10 \
         order by time desc limit 10 offset 5 align by device;",
    );
    let nodes = |item: &Item| match item {
        Item::Series(path) => path.nodes().to_vec(),
        Item::Aggregate(..) => panic!("an aggregate"),
    };
    let items: Vec<_> = it.items.iter().map(|it| nodes(&it.item)).collect();
    assert_eq!(items, [&["d1", "s1"][..], &["`a.b`"], &["s*"], &["**"], &["*", "s1"]]);
    assert_eq!(it.items[0].alias.as_deref(), Some("a"));
    assert_eq!(it.from[1].nodes(), ["root", "`x-y`", "*"]);
    assert_eq!(it.order, Order::Descending);
    assert_eq!((it.page.limit, it.page.offset), (Some(10), 5));
    assert_eq!(it.align, Align::Device);
    assert!(!it.is_aggregation());
}

#[test]
fn keywords_are_of_any_case_and_comments_are_blanks() {
    let plain = parsed("SELECT s1 FROM root.d1 WHERE time > 5 LIMIT 1");
    let odd = "sElEcT/* a; ' */s1 -- FROM root.x\n FrOm\troot . d1\r\nwHeRe TimeStamp>5 lImIt 1 ;";
    assert_eq!(parsed(odd), plain);
}

#[test]
fn keywords_also_name_nodes() {
    check_shown(
        "SELECT last FROM root.select.`from`.limit WHERE count > 1",
        "SELECT `last` FROM root.select.`from`.`limit` WHERE count > 1",
    );
    check_shown("SELECT last.x, from FROM root.a", "SELECT `last`.x, `from` FROM root.a");
    check_shown(
        "SELECT 1d, `1e5`, `12`, `a``b`, ``, `root`.a FROM root.a.`root` WHERE `root` > 1",
        "SELECT 1d, `1e5`, `12`, `a``b`, ``, `root`.a FROM root.a.`root` WHERE `root` > 1",
    );
    check_shown("SELECT `abc` FROM root.`time`", "SELECT abc FROM root.`time`");
}

#[test]
fn aggregates_have_a_path_each() {
    let it = select("SELECT count(*), Min_Value(d1.s1) AS 'low est' FROM root.sg");
    assert!(it.is_aggregation());
    assert!(
        matches!(&it.items[0].item, Item::Aggregate(Function::Count, path) if path.nodes() == ["*"])
    );
    assert_eq!(it.items[1].alias.as_deref(), Some("low est"));
    for function in Function::ALL {
        let text = format!("SELECT {}(s1) FROM root.a", function.as_str());
        check_shown(&text.to_lowercase(), &text.replace("from", "FROM"));
    }
}

#[test]
fn windows_are_taken_in_both_forms() {
    let it = select(
        "SELECT AVG(s1) FROM root.a GROUP BY ([2011-12-03T10:15:30+01:00, now() + 1d), 1h, 30m)",
    );
    let group_by = it.group_by.expect("windows");
    assert_eq!((group_by.start, group_by.end), (SOME_TIME, SOME_TIME + 86_400_000));
    assert_eq!(group_by.bounds, Bounds::StartIncluded);
    assert_eq!(group_by.interval.to_string(), "1h");
    assert_eq!(group_by.step.to_string(), "30m");
    let it = select("SELECT AVG(s1) FROM root.a GROUP BY TIME((0, 100], 1y2mo)");
    let group_by = it.group_by.expect("windows");
    assert_eq!(group_by.bounds, Bounds::EndIncluded);
    assert_eq!(group_by.interval.months(), 14);
}

#[test]
fn show_and_count_take_a_pattern() {
    check_shown("show timeseries", "SHOW TIMESERIES");
    check_shown(
        "show timeseries root.** offset 2 limit 3",
        "SHOW TIMESERIES root.** LIMIT 3 OFFSET 2",
    );
    check_shown("show devices limit 3", "SHOW DEVICES LIMIT 3");
    check_shown("show databases root.a*", "SHOW DATABASES root.a*");
    check_shown("show storage group", "SHOW DATABASES");
    check_shown("count timeseries root.a.**", "COUNT TIMESERIES root.a.**");
    check_shown("count devices;", "COUNT DEVICES");
    check_shown(
        "select last s1, * from root.a, root.b where time > 5 limit 2",
        "SELECT LAST s1, * FROM root.a, root.b WHERE time > 5 LIMIT 2",
    );
}

#[test]
fn times_are_taken_in_every_form() {
    for time in [
        "1322903730000",
        "2011-12-03T10:15:30+01:00",
        "2011-12-03T10:15:30",
        "2011-12-03 10:15:30",
        "2011/12/03 10:15:30.000",
        "2011.12.3 9:15:30.000+00:00",
        "2011.12.03T10:15:30+01:00",
        "2011-12-03T09:15:30Z",
        "'2011-12-03 10:15:30+01:00'",
        "2011-12-03 + 10h15m30s",
        "now()",
        "NOW( )",
        "now() - 1d + 24h",
    ] {
        let expected = Condition::Time(TimeTest::Compare(Comparison::Greater, SOME_TIME));
        assert_eq!(condition(&format!("time > {time}")), expected, "{time}");
        assert_eq!(condition(&format!("{time} < time")), expected, "{time}");
    }
    let expected = Condition::Time(TimeTest::Compare(Comparison::Equal, -5));
    assert_eq!(condition("time = -5"), expected);
}

#[test]
fn values_are_taken_in_every_form() {
    for (text, expected) in [
        ("10", Literal::Integer(10)),
        ("-9223372036854775808", Literal::Integer(i64::MIN)),
        ("+7", Literal::Integer(7)),
        ("1.5", Literal::Float(1.5)),
        (".5", Literal::Float(0.5)),
        ("5.", Literal::Float(5.0)),
        ("-1e3", Literal::Float(-1000.0)),
        ("1.5E-3", Literal::Float(0.0015)),
        ("true", Literal::Boolean(true)),
        ("'it''s \"\\n'", Literal::Text("it's \"\\n".to_owned())),
        ("\"a\"\"b'\"", Literal::Text("a\"b'".to_owned())),
        ("2011-12-03T10:15:30+01:00", Literal::Integer(SOME_TIME)),
    ] {
        let test = ValueTest::Compare(Comparison::LessEqual, expected);
        let expected = Condition::Value { series: 0, test };
        assert_eq!(condition(&format!("s1 <= {text}")), expected, "{text}");
        assert_eq!(condition(&format!("{text} >= s1")), expected, "{text}");
    }
}

#[test]
fn or_binds_weaker_than_and_and_and_weaker_than_not() {
    let shown = |text| {
        select(&format!("SELECT a FROM root.d WHERE {text}")).filter.expect("it").to_string()
    };
    assert_eq!(
        shown("a=1 or b=2 and not c=3 or d==4"),
        "a = 1 OR (b = 2 AND NOT (c = 3)) OR d = 4"
    );
    assert_eq!(shown("(a=1 || b=2) && !c=3"), "(a = 1 OR b = 2) AND NOT (c = 3)");
    assert_eq!(shown("((a=1) and (b=2 and c=3))"), "a = 1 AND b = 2 AND c = 3");
    assert_eq!(shown("a is not null and b is null"), "a IS NOT NULL AND b IS NULL");
    assert_eq!(
        shown("a not in (1, 'x') & time in (1,2)"),
        "NOT (a IN (1, 'x')) AND time IN (1, 2)"
    );
    assert_eq!(
        shown("a between 1 and 2 and time not between 3 and 4"),
        "a BETWEEN 1 AND 2 AND NOT (time BETWEEN 3 AND 4)"
    );
    assert_eq!(
        shown("a like 'x%' escape '!' or root.d.b <> 1"),
        "a LIKE 'x%' ESCAPE '!' OR root.d.b != 1"
    );
    assert_eq!(shown("true or a = true"), "TRUE OR a = TRUE");
}

#[test]
fn a_series_that_is_named_twice_has_one_number() {
    let it = select("SELECT a FROM root.d WHERE a > 1 AND b < 2 AND a < 5").filter.expect("it");
    let names: Vec<_> = it.series().iter().map(ToString::to_string).collect();
    assert_eq!(names, ["a", "b"]);
}

#[test]
fn a_refusal_shows_the_place_and_the_nearest_keyword() {
    let shown = refused("SELECT s1\nFORM root.d1").to_string();
    assert_eq!(
        shown,
        "line 2, column 1: expected `,`, AS or FROM, found `FORM`; did you mean FROM?\n  FORM root.d1\n  ^"
    );
    let error = refused("SELECT s1 FROM root.d1 WHERE s1 >");
    assert_eq!(
        error.to_string(),
        "line 1, column 34: expected a series, `time` or a value, found the end of the statement\n  \
         SELECT s1 FROM root.d1 WHERE s1 >\n  \
         \u{20}                                ^"
    );
    assert_eq!((error.line(), error.column(), error.offset()), (1, 34, 33));
    check_refused("SELCT s1 FROM root.a", "did you mean SELECT?");
    check_refused("SHOW TIMESERIE", "did you mean TIMESERIES?");
    check_refused("SELECT s1 FROM root.a WHER s1 > 5", "did you mean WHERE?");
    check_refused("SELECT s1 FROM root.a WHERE s1 LKE 'a'", "did you mean LIKE?");
    check_refused("SELECT s1 FROM root.a ODER BY time", "did you mean ORDER?");
    check_refused("SELECT s1 FROM rot.a", "did you mean ROOT?");
    check_refused("SELECT cuont(s1) FROM root.a", "did you mean COUNT?");
    check_refused("SHOW TABLES", "SHOW TABLES is not supported here; tables cannot be asked");
    check_refused("SELECT * FROM pumps", "(tables cannot be asked, only exported), found `pumps`");
    check_refused("SHOW DEVICES LIMT 5", "did you mean LIMIT?");
    check_refused("SELECT s1 FROM root.a ALIGN BY DEVCE", "did you mean DEVICE?");
}

#[test]
fn what_iotdb_has_beyond_this_is_refused_by_name() {
    for (text, what) in [
        ("INSERT INTO root.a(time, s1) VALUES (1, 2)", "INSERT INTO is not supported here"),
        ("create pipe p with sink ('sink'='x')", "CREATE PIPE is not supported here"),
        ("DELETE FROM root.a.** WHERE time < 5", "DELETE FROM is not"),
        ("FLUSH", "FLUSH is not"),
        ("EXPLAIN SELECT s1 FROM root.a", "EXPLAIN SELECT is not"),
        ("SHOW LATEST TIMESERIES", "SHOW LATEST TIMESERIES is not"),
        ("SHOW PIPES", "SHOW PIPES is not"),
        ("COUNT NODES root LEVEL=1", "COUNT NODES is not"),
        ("COUNT DATABASES", "COUNT DATABASES is not"),
        ("COUNT TIMESERIES root.** GROUP BY LEVEL=1", "GROUP BY LEVEL is not"),
        ("SHOW DEVICES root.a WITH DATABASE", "WITH is not"),
        ("SHOW TIMESERIES WHERE TAGS(a)=b", "WHERE behind SHOW or COUNT is not"),
        ("SELECT s1 INTO root.b(x) FROM root.a", "INTO is not"),
        ("SELECT count(s1) FROM root.a GROUP BY LEVEL = 1", "GROUP BY LEVEL is not"),
        (
            "SELECT count(s1) FROM root.a GROUP BY (1d)",
            "GROUP BY without a start and an end is not",
        ),
        ("SELECT s1 FROM root.a HAVING s1 > 1", "HAVING is not"),
        ("SELECT s1 FROM root.a FILL(PREVIOUS)", "FILL is not"),
        ("SELECT s1 FROM root.a SLIMIT 5", "SLIMIT is not"),
        ("SELECT s1 FROM root.a ORDER BY s1", "ORDER BY anything but TIME is not"),
        ("SELECT LAST s1 FROM root.a ORDER BY TIMESERIES", "ORDER BY with SELECT LAST is not"),
        ("SELECT s1 + 1 FROM root.a", "arithmetic (`+`) is not"),
        ("SELECT s1 FROM root.my-db", "arithmetic (`-`) is not"),
        ("SELECT sin(s1) FROM root.a", "SIN(...) is not"),
        ("SELECT s1 FROM root.a WHERE abs(s1) > 1", "ABS(...) behind WHERE is not"),
        ("SELECT s1 FROM root.a WHERE s1 > s2", "a comparison of a series or the time with"),
        ("SELECT s1 FROM root.a WHERE s1 REGEXP 'a'", "REGEXP is not"),
        ("SELECT CASE WHEN s1 THEN 1 END FROM root.a", "CASE is not"),
    ] {
        check_refused(text, what);
        assert!(matches!(refused(text).reason(), Reason::Unsupported { .. }), "{text}");
    }
    check_refused("INSERT INTO root.a(s1) VALUES (1)", "`tidegate-receiver export`");
}

#[test]
fn what_makes_no_sense_is_refused() {
    for (text, expected) in [
        ("", "found the end of the statement"),
        ("SELECT", "found the end of the statement"),
        ("SELECT FROM root.a", "expected a series, `*` or an aggregate, found `FROM`"),
        ("SELECT s1, count(s1) FROM root.a", "expected either series or aggregates"),
        ("SELECT s1 FROM root.a GROUP BY ([0, 10), 1s)", "expected aggregates behind SELECT"),
        ("SELECT root.a.s1 FROM root.a", "it does not begin with root"),
        ("SELECT time FROM root.a", "the time of a row is always in the result"),
        ("SELECT s1 FROM root.a LIMIT 0", "larger than 0"),
        ("SELECT s1 FROM root.a LIMIT -1", "expected a whole number without a sign, found `-1`"),
        ("SHOW DEVICES OFFSET +2", "expected a whole number without a sign, found `+2`"),
        ("SHOW DEVICES LIMIT -", "expected a whole number without a sign, found `-`"),
        (
            "SELECT s1 FROM root.a WHERE time > now() - 5",
            "units right behind their numbers, found `5`",
        ),
        ("SELECT s1 FROM root.a WHERE time > now() - 1 d", "an interval such as 1d12h, its units"),
        ("SELECT s1 FROM root.a WHERE time > now() +", "an interval such as 1d12h, found the end"),
        ("SELECT s1 FROM root.a LIMIT 1 LIMIT 2", "found `LIMIT`"),
        ("SELECT s1 FROM root.a WHERE s1 = NULL", "IS NULL"),
        ("SELECT s1 FROM root.a WHERE time > true", "expected a time, found TRUE"),
        ("SELECT s1 FROM root.a WHERE time > '2011x'", "expected `-`, `/` or `.`"),
        (
            "SELECT s1 FROM root.a WHERE time > 2011-13-01",
            "expected a month from 1 to 12, found 13",
        ),
        ("SELECT s1 FROM root.a WHERE 1 = 1", "expected a series or the time"),
        ("SELECT s1 FROM root.a WHERE 1 < s1 < 5", "found `<`"),
        ("SELECT s1 FROM root.a WHERE s1 > 99999999999999999999", "fits 64 bits"),
        ("SELECT s1 FROM root.a WHERE s1 > 1e999", "fits 64 bits"),
        ("SELECT s1 FROM root.a WHERE s1 > 'abc", "expected a quote behind a text"),
        ("SELECT s1 FROM root.a WHERE s1 > 5 /* abc", "expected `*/` behind a comment"),
        ("SELECT `abc FROM root.a", "expected a backtick behind a name"),
        ("SELECT s1 FROM root.a WHERE s1 = X'0102", "expected a quote behind a text"),
        (
            "SELECT s1 FROM root.a WHERE s1 = X'012'",
            "expected two hexadecimal digits for each byte",
        ),
        ("SELECT s1 FROM root.a WHERE s1 = X'0g'", "expected two hexadecimal digits for each byte"),
        ("SELECT s1 FROM root.a WHERE time = X'01'", "expected a time, found X'01'"),
        ("SELECT X'01' FROM root.a", "expected a series, `*` or an aggregate"),
        ("SELECT 12 FROM root.a", "backticks: it is a number"),
        ("SELECT a:b FROM root.a", "backticks: it is not of letters"),
        ("SELECT a.time FROM root.a", "backticks: IoTDB keeps that word"),
        ("SELECT a**b FROM root.a", "with `*` at its beginning or end"),
        ("SELECT s1 FROM root.a\u{a0}WHERE s1 > 5", "found the character U+00A0"),
        (
            "SELECT count(s1) FROM root.a GROUP BY ([10, 10), 1s)",
            "expected an end behind the start",
        ),
        ("SELECT count(s1) FROM root.a GROUP BY ([0, 10], 1s)", "since `[` came before"),
        ("SELECT count(s1) FROM root.a GROUP BY ([0, 10), 1us)", "1ms or more"),
        ("SELECT LAST count(s1) FROM root.a", "expected series behind LAST"),
        ("SELECT LAST s1 FROM root.a WHERE s1 > 5", "about the time only"),
        ("SELECT s1 FROM root.a; SELECT", "found `SELECT`"),
    ] {
        check_refused(text, expected);
    }
}

#[test]
fn conditions_nest_so_deep_and_no_deeper() {
    let nested =
        |n: usize| format!("SELECT s1 FROM root.a WHERE {}s1 > 5{}", "(".repeat(n), ")".repeat(n));
    parsed(&nested(DEPTH_MAX));
    check_refused(&nested(DEPTH_MAX + 1), "expected at most 64 parentheses and NOTs");
    let negated = |n: usize| format!("SELECT s1 FROM root.a WHERE {}s1 > 5", "NOT ".repeat(n));
    parsed(&negated(DEPTH_MAX));
    check_refused(&negated(DEPTH_MAX + 1), "parentheses and NOTs");
    check_refused(&nested(30_000), "parentheses and NOTs");
    check_refused(&negated(15_000), "parentheses and NOTs");
}

#[test]
fn statements_are_so_long_and_no_longer() {
    let long = |bytes: usize| {
        let head = "SELECT s1 FROM root.a";
        format!("{head}{}", " ".repeat(bytes - head.len()))
    };
    parsed(&long(STATEMENT_BYTES_MAX));
    check_refused(&long(STATEMENT_BYTES_MAX + 1), "expected at most 65536 bytes of a statement");
    let like =
        |bytes: usize| format!("SELECT s1 FROM root.a WHERE s1 LIKE '{}'", "a".repeat(bytes - 2));
    parsed(&like(LIKE_BYTES_MAX));
    check_refused(&like(LIKE_BYTES_MAX + 1), "expected at most 1024 bytes of a pattern");
}

#[test]
fn items_stand_behind_every_path_and_no_more_than_allowed() {
    let it = select("SELECT s1 AS x, d.s2 FROM root.a, root.b.*");
    let columns: Vec<_> =
        it.columns().expect("columns").iter().map(|it| it.path.to_string()).collect();
    assert_eq!(columns, ["root.a.s1", "root.b.*.s1", "root.a.d.s2", "root.b.*.d.s2"]);
    let many = |n: usize| {
        let items = vec!["s"; n].join(",");
        select(&format!("SELECT {items} FROM {}", vec!["root.a"; 128].join(",")))
    };
    assert_eq!(many(COLUMNS_MAX / 128).columns().expect("columns").len(), COLUMNS_MAX);
    assert!(many(COLUMNS_MAX / 128 + 1).columns().is_err());
    // One long path before many items, or behind many paths.
    let long = "x.".repeat(10_000) + "x";
    let items = vec!["s"; 10_000].join(",");
    assert!(select(&format!("SELECT {items} FROM root.{long}")).columns().is_err());
    let from = vec!["root"; 8_000].join(",");
    let it = select(&format!("SELECT {long} FROM {from} WHERE {}.x > 5", &long[..999]));
    assert!(it.columns().is_err());
    assert!(it.filter.expect("a filter").behind(&it.from).is_err());
    let Statement::SelectLast(last) = parsed("SELECT LAST * FROM root.a, root.b") else {
        panic!("no SELECT LAST")
    };
    let paths: Vec<_> = last.paths().expect("paths").iter().map(ToString::to_string).collect();
    assert_eq!(paths, ["root.a.*", "root.b.*"]);
}

#[test]
fn the_longest_statements_take_no_time_to_speak_of() {
    let begin = "SELECT s FROM root.a WHERE ";
    for part in ["a = 1 AND ", "a = 1 OR ", "NOT a = 1 AND ", "a IN (1,2) OR ", "'x' = a OR "] {
        let n = (STATEMENT_BYTES_MAX - 100) / part.len();
        parsed(&format!("{begin}{}time > 5", part.repeat(n)));
    }
    let names: String = (0..7_000).map(|n| format!("s{n}=1&")).collect();
    let many = select(&format!("{begin}{names}time>5"));
    assert!(5_000 < many.filter.expect("it").series().len());
    for odd in
        ["'", "`", "\"", "/*", "--", "1d", "1-", "1.", "1:", "((", "*", "**.", "''''", "1e", "中"]
    {
        let _ = parse(&odd.repeat((STATEMENT_BYTES_MAX - 10) / odd.len()), &context());
        let _ = parse(
            &format!("SELECT {}", odd.repeat((STATEMENT_BYTES_MAX - 10) / odd.len())),
            &context(),
        );
    }
}

#[test]
fn every_example_of_the_manual_is_taken() {
    let manual = include_str!("../../../docs/manual/sql.md");
    let mut n_statements = 0;
    for block in manual.split("```sql\n").skip(1) {
        let (block, _) = block.split_once("```").expect("the end of an example");
        for statement in block.lines() {
            parsed(statement);
            n_statements += 1;
        }
    }
    assert!(10 < n_statements, "the examples were not found");
    let (_, shown) = manual.split_once("line 1, column 11").expect("the example of an error");
    let (shown, _) = shown.split_once("\n```").expect("its end");
    let error = refused("SELECT s1 FORM root.plant.d1").to_string();
    assert_eq!(error, format!("line 1, column 11{shown}"));
    for max in [STATEMENT_BYTES_MAX, DEPTH_MAX, COLUMNS_MAX, LIKE_BYTES_MAX] {
        assert!(manual.contains(&format!(" {max} ")), "{max} is not in the manual");
    }
}
