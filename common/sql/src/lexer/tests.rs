use super::*;

fn kinds(text: &str) -> Vec<(Kind, &str)> {
    tokens(text).into_iter().map(|it| (it.kind, it.text)).collect()
}

/// What single token the whole text is.
fn check(text: &str, expected: Kind) {
    assert_eq!(kinds(text), [(expected, text), (Kind::End, "")]);
}

#[test]
fn the_longest_token_wins_and_of_equal_ones_the_first() {
    check("12", Kind::Integer);
    check("1d", Kind::Interval);
    check("1D12h", Kind::Interval);
    check("1mo", Kind::Interval);
    check("1mo2m3ms4us5ns6w7y8s", Kind::Interval);
    check("1day", Kind::Word);
    check("1u", Kind::Word);
    check("1d2", Kind::Word);
    check("1e5", Kind::Exponent);
    check("1E-5", Kind::Exponent);
    check("1e5x", Kind::Word);
    check("10:15:30", Kind::Word);
    check("a:@#${}_9", Kind::Word);
    check("温度1", Kind::Word);
    check("::", Kind::Symbol(Symbol::DoubleColon));
    check("::a", Kind::Word);
    check("2011-12-03", Kind::DateTime);
    check("1/2/3", Kind::DateTime);
    check("2011.12.03T10:15:30.123456789-05:00", Kind::DateTime);
    check("2011-12-03 \t\n 10:15:30", Kind::DateTime);
    check("2011-12-03T10:15:30Z", Kind::DateTime);
    check("'a''b'", Kind::Text);
    check("\"a\"\"b''\"", Kind::Text);
    check("'a\\'", Kind::Text);
    check("`a``b`", Kind::Quoted);
    check("''", Kind::Text);
}

#[test]
fn what_does_not_belong_to_a_token_begins_the_next() {
    let kinds = |text| kinds(text).into_iter().map(|it| it.1).collect::<Vec<_>>();
    assert_eq!(kinds("1.5"), ["1", ".", "5", ""]);
    assert_eq!(kinds("2011-12/03"), ["2011", "-", "12", "/", "03", ""]);
    assert_eq!(kinds("2011-12-03 10"), ["2011-12-03", "10", ""]);
    assert_eq!(kinds("2011-12-03T10"), ["2011-12-03", "T10", ""]);
    assert_eq!(kinds("2011-12-03 10:15:30-1d"), ["2011-12-03 10:15:30", "-", "1d", ""]);
    assert_eq!(kinds("a<=b<>c!=d==e"), ["a", "<=", "b", "<>", "c", "!=", "d", "==", "e", ""]);
    assert_eq!(kinds("***"), ["**", "*", ""]);
    assert_eq!(kinds("a&&b&c||d|!e"), ["a", "&&", "b", "&", "c", "||", "d", "|", "!", "e", ""]);
    assert_eq!(kinds("([a],%+;)"), ["(", "[", "a", "]", ",", "%", "+", ";", ")", ""]);
}

#[test]
fn comments_are_blanks_but_not_in_quotes() {
    let kinds = |text| kinds(text).into_iter().map(|it| it.1).collect::<Vec<_>>();
    assert_eq!(kinds("a--b\nc"), ["a", "c", ""]);
    assert_eq!(kinds("a--b"), ["a", ""]);
    assert_eq!(kinds("a/*b\n*/c/**/d"), ["a", "c", "d", ""]);
    assert_eq!(kinds("a/*/*/c"), ["a", "c", ""]);
    assert_eq!(kinds("'--' `/*` \"*/\""), ["'--'", "`/*`", "\"*/\"", ""]);
}

#[test]
fn a_fault_ends_the_tokens() {
    for (text, fault) in [
        ("a 'b", Fault::OpenText),
        ("a 'b''", Fault::OpenText),
        ("a \"b'", Fault::OpenText),
        ("a `b", Fault::OpenName),
        ("a /* b *", Fault::OpenComment),
        ("a \u{7f} b", Fault::Character),
        ("a ä", Fault::Character),
        ("a ? b", Fault::Character),
    ] {
        assert_eq!(kinds(text), [(Kind::Word, "a"), (Kind::Fault(fault), "")], "{text}");
    }
}

#[test]
fn quotes_come_off_and_doubled_ones_become_one() {
    assert_eq!(unquoted("'it''s'"), "it's");
    assert_eq!(unquoted("\"a\"\"b''\""), "a\"b''");
    assert_eq!(unquoted("`a``b`"), "a`b");
    assert_eq!(unquoted("''''"), "'");
    assert_eq!(unquoted("''"), "");
    assert_eq!(unquoted("'\\n'"), "\\n");
}
