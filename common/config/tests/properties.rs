//! The properties format: Java's rules, exact errors, round trips.

use proptest::prelude::*;
use tidegate_config::CONFIG_TEXT_BYTES_MAX;
use tidegate_config::Properties;
use tidegate_config::Repeated;

/// Entries as `line key=value`, or the errors.
fn check(text: &[u8], repeated: Repeated) -> Result<Vec<String>, String> {
    let properties = Properties::parse("f", text, repeated).map_err(|it| it.to_string())?;
    let entry = |it: &tidegate_config::Entry| format!("{} {}={}", it.line, it.key, it.value);
    Ok(properties.entries().iter().map(entry).collect())
}

#[test]
fn texts_are_read_as_java_reads_them() {
    let cases: [(&str, &[&str]); 19] = [
        ("", &[]),
        ("a=1\nb:2\nc 3\n", &["1 a=1", "2 b=2", "3 c=3"]),
        ("a = 1\r\nb\t:\t2\rc  3", &["1 a=1", "2 b=2", "3 c=3"]),
        ("# x=1\n  ! y=2\n\n \t\n  z=3", &["5 z=3"]),
        ("a=1 # no comment", &["1 a=1 # no comment"]),
        ("a=one, \\\n   two\nb=3", &["1 a=one, two", "3 b=3"]),
        ("a=one\\\\\nb=2", &["1 a=one\\", "2 b=2"]),
        ("a=1\\\n# still a\nb=2", &["1 a=1# still a", "3 b=2"]),
        ("# a comment never continues \\\nb=2", &["2 b=2"]),
        ("a=1\\", &["1 a=1"]),
        ("a\\ b\\=c\\:d=1", &["1 a b=c:d=1"]),
        ("a==1\nb=:2\nc : = 3", &["1 a==1", "2 b=:2", "3 c== 3"]),
        ("a=\\u4f60\\u597d", &["1 a=你好"]),
        ("a=\\ud83d\\ude00", &["1 a=😀"]),
        ("a=\\x\\\"", &["1 a=x\""]),
        ("a=1   \t ", &["1 a=1"]),
        ("a\nb=", &["1 a=", "2 b="]),
        ("\u{feff}a=1", &["1 a=1"]),
        ("键=值", &["1 键=值"]),
    ];
    for (text, expected) in cases {
        assert_eq!(check(text.as_bytes(), Repeated::Refuse).unwrap(), expected, "{text:?}");
    }
}

#[test]
fn faults_name_file_line_and_cause() {
    let large = vec![b'#'; CONFIG_TEXT_BYTES_MAX + 1];
    let twenty_one = "=\n".repeat(21);
    let cases: [(&[u8], &str); 8] = [
        (b"a=1\nb=2\na=3", "f:3: a is given twice, first on line 1"),
        (b"a=1\n=2", "f:2: expected a key before the separator, but found none"),
        (
            b"\na=\\u12g4",
            "f:2: expected four hexadecimal digits of a whole character after \\u, but found others",
        ),
        (
            b"a=\\ud83d",
            "f:1: expected four hexadecimal digits of a whole character after \\u, but found others",
        ),
        (b"a=1\nb=\xff", "f:2: expected UTF-8 text, but found other bytes"),
        (&large, "f: expected at most 1048576 bytes, but found 1048577"),
        (
            b"=\na=\\uzzzz",
            "f:1: expected a key before the separator, but found none\n\
             f:2: expected four hexadecimal digits of a whole character after \\u, but found others",
        ),
        (b"\\\n=", "f:1: expected a key before the separator, but found none"),
    ];
    for (text, expected) in cases {
        assert_eq!(check(text, Repeated::Refuse).unwrap_err(), expected);
    }
    let many = check(twenty_one.as_bytes(), Repeated::Refuse).unwrap_err();
    assert_eq!(many.lines().count(), 21, "{many}");
    assert!(many.ends_with("\nthere may be more faults, the first 20 are shown"), "{many}");
    check(&large[1..], Repeated::Refuse).unwrap();
}

#[test]
fn in_the_files_of_iotdb_the_last_one_wins() {
    let read = check(b"a=1\nb=2\na=3", Repeated::LastWins).unwrap();
    assert_eq!(read, ["3 a=3", "2 b=2"]);
}

proptest! {
    #[test]
    fn rendered_entries_read_back(key in "\\PC{1,20}", value in "[\\PC\\t\\n\\r\\\\ =:#!]{0,40}") {
        let value = value.trim();
        let text = Properties::render_entry(&key, value);
        let read = Properties::parse("f", text.as_bytes(), Repeated::Refuse).unwrap();
        prop_assert_eq!(read.entries().len(), 1, "{:?}", text);
        prop_assert_eq!(&read.entries()[0].key, &key, "{:?}", text);
        prop_assert_eq!(&read.entries()[0].value, value, "{:?}", text);
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = check(&bytes, Repeated::Refuse);
        let _ = check(&bytes, Repeated::LastWins);
    }

    #[test]
    fn any_text_of_special_characters_is_read_or_refused(text in "[a\\\\u0d8#!=: \\t\\n\\r]{0,60}") {
        let _ = check(text.as_bytes(), Repeated::Refuse);
    }
}
