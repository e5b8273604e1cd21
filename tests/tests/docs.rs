//! The documents say what the code does: keys, commands, options, status fields, messages and links
//! that they name exist.
//!
//! Everything is compared with the text of its source: the shipped configuration files, which are
//! the key tables; the list of pipe keys; the clap structs; the status structs; the messages.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::path::PathBuf;

use clap::CommandFactory;
use tidegate_tests::gateway::Args;
use tidegate_tests::workspace;

/// Shorter parts of a quoted message are names and punctuation, which the code fills in.
const FRAGMENT_CHARS_MIN: usize = 13;

/// Headings of table columns that quote messages.
const MESSAGE_COLUMNS: [&str; 4] =
    ["Sender says", "Receiver says", "Message", "Sender's status or log"];

#[test]
fn every_key_that_the_documents_name_exists() {
    let keys = property_keys();
    let pipe_keys = pipe_keys();
    let fields = status_fields(&["sender/src/status.rs", "receiver/src/status.rs"]);
    check(|document| {
        let mut wrong = Vec::new();
        for span in &document.spans {
            let word = span.split('=').next().unwrap_or_default().trim();
            let is_known = match shape(word) {
                Some(Shape::Property) => keys.contains(word) || fields.contains(word),
                Some(Shape::Pipe) => pipe_keys.contains_key(&canonical(word)),
                None => true,
            };
            if !is_known {
                wrong.push(format!("no such key: {word}"));
            }
        }
        wrong
    });
}

#[test]
fn examples_hold_keys_that_work() {
    let (sender, receiver) =
        (keys_of("conf/sender.properties"), keys_of("conf/receiver.properties"));
    let pipe_keys = pipe_keys();
    check(|document| {
        let mut wrong = Vec::new();
        for (kind, block) in &document.blocks {
            let keys: Vec<String> = block
                .lines()
                .filter_map(|line| {
                    Some(line.split_once('=')?.0.trim().trim_matches('"').to_owned())
                })
                .collect();
            let is_right = match kind.as_str() {
                "properties" => [&sender, &receiver]
                    .iter()
                    .any(|known| keys.iter().all(|key| known.contains(key))),
                "toml" => keys
                    .iter()
                    .all(|key| key == "name" || pipe_keys.get(&canonical(key)) == Some(&Here::Yes)),
                _ => true,
            };
            if !is_right {
                wrong.push(format!("an example of {kind} has a key that does not work: {keys:?}"));
            }
        }
        wrong
    });
}

#[test]
fn every_link_leads_somewhere() {
    check(|document| {
        let mut wrong = Vec::new();
        for target in links(&document.text) {
            if target.starts_with("http://") || target.starts_with("https://") {
                continue;
            }
            let (path, anchor) = target.split_once('#').unwrap_or((&target, ""));
            let path = match path {
                "" => document.path.clone(),
                _ => document.path.parent().expect("a file has a folder").join(path),
            };
            if !path.exists() {
                wrong.push(format!("no such file: {target}"));
            } else if !anchor.is_empty() && !anchors(&read(&path)).contains(anchor) {
                wrong.push(format!("no such heading: {target}"));
            }
        }
        wrong
    });
}

#[test]
fn every_command_that_the_documents_name_exists() {
    let commands = commands();
    let makefile = read(&workspace::root().join("Makefile"));
    check(|document| {
        let mut wrong = Vec::new();
        let lines = document.blocks.iter().filter(|(kind, _)| kind == "sh");
        let lines = lines.flat_map(|(_, block)| block.lines());
        for line in lines.chain(document.spans.iter().map(String::as_str)) {
            let words: Vec<&str> = line.split_whitespace().collect();
            let Some((&first, rest)) = words.split_first() else { continue };
            if let (true, Some(target)) = (first == "make", rest.first()) {
                if !makefile.lines().any(|line| line.starts_with(&format!("{target}:"))) {
                    wrong.push(format!("no such target of make: {target}"));
                }
            } else if let Some(command) = commands.get(first) {
                wrong.extend(command.faults(rest).map(|word| format!("{first}: no such {word}")));
            }
        }
        wrong
    });
}

#[test]
fn manual_pages_name_every_command_and_every_option() {
    for (name, command) in commands() {
        let page = read(&workspace::root().join(format!("docs/man/{name}.1")));
        let options = section_words(&page, |heading| !heading.starts_with("COMMANDS"), "--");
        assert_eq!(options, command.options, "options in the manual page of {name}");
        let named = bold_in_section(&page, "COMMANDS");
        assert_eq!(named, command.subcommands, "commands in the manual page of {name}");
    }
}

#[test]
fn the_pipe_page_and_the_pipe_chapter_hold_every_key_with_the_same_default() {
    let page = read(&workspace::root().join("docs/man/tidegate-pipe.5"));
    let mut in_page = BTreeMap::new();
    for entry in page.split("\n.TP\n").skip(1) {
        let mut lines = entry.lines().map(unroff);
        let Some(key) = lines.next().and_then(|line| Some(line.strip_prefix(".B ")?.to_owned()))
        else {
            continue;
        };
        let default = lines.find_map(|line| {
            Some(line.strip_prefix("Default: ")?.trim_end_matches('.').to_owned())
        });
        in_page.insert(key, default);
    }
    let here: BTreeSet<String> = pipe_keys()
        .into_iter()
        .filter(|(_, here)| *here == Here::Yes)
        .map(|(key, _)| key)
        .collect();
    assert_eq!(in_page.keys().cloned().collect::<BTreeSet<_>>(), here, "keys in tidegate-pipe.5");

    let chapter = read(&workspace::root().join("docs/manual/pipes.md"));
    for row in rows(&chapter) {
        let [key, default, ..] = &row[..] else { continue };
        let (Some(key), default) = (code(key), code(default)) else { continue };
        if let Some(in_page) = in_page.get(&key) {
            assert_eq!(in_page, &default, "default of {key} in tidegate-pipe.5 and pipes.md");
        }
    }
    let missing: Vec<&String> =
        here.iter().filter(|key| !chapter.contains(&format!("`{key}`"))).collect();
    assert!(missing.is_empty(), "pipes.md does not name {missing:?}");
}

#[test]
fn status_fields_in_the_manual_exist() {
    let text = read(&workspace::root().join("docs/manual/operations.md"));
    for (heading, source) in [
        ("Fields of the sender's status", "sender/src/status.rs"),
        ("Fields of the receiver's status", "receiver/src/status.rs"),
    ] {
        let fields = status_fields(&[source]);
        let section = text.split("\n## ").find(|it| it.starts_with(heading)).expect(heading);
        let rows = rows(section);
        assert!(3 < rows.len(), "{heading}: no table");
        for row in rows.iter().skip(1) {
            for path in spans_of(&row[0]) {
                for field in path.split('.') {
                    let field = field.trim_end_matches("[]");
                    assert!(fields.contains(field), "{heading}: no field {field} in {source}");
                }
            }
        }
    }
}

#[test]
fn every_message_in_the_tables_of_the_manual_is_one_of_the_code() {
    let sources = sources();
    let mut n_fragments = 0;
    check(|document| {
        let mut wrong = Vec::new();
        for table in tables(&document.text) {
            let is_quoting = MESSAGE_COLUMNS.contains(&table[0][0].as_str());
            for message in table.iter().filter(|_| is_quoting).flat_map(|row| spans_of(&row[0])) {
                for fragment in fragments(&message) {
                    n_fragments += 1;
                    if !sources.contains(fragment) {
                        wrong.push(format!("no message says {fragment:?}"));
                    }
                }
            }
        }
        wrong
    });
    assert!(30 < n_fragments, "the tables of messages were not found");
}

#[test]
fn every_path_and_every_test_that_the_documents_name_exists() {
    let tests = tests();
    check(|document| {
        let mut wrong = Vec::new();
        for span in &document.spans {
            let is_path =
                span.contains('/') && [".md", ".rs"].iter().any(|end| span.ends_with(end));
            if is_path && !span.contains(['*', ' ']) && !workspace::root().join(span).exists() {
                wrong.push(format!("no such file: {span}"));
            }
            // So many words are the name of a test, or of nothing.
            let is_name = span.chars().all(|c| c.is_ascii_lowercase() || "_0123456789".contains(c));
            let is_key = matches!(shape(span), Some(Shape::Property));
            if is_name && !is_key && 4 <= span.matches('_').count() && !tests.contains(span) {
                wrong.push(format!("no such test: {span}"));
            }
        }
        wrong
    });
}

#[test]
fn the_rules_can_fail() {
    assert!(matches!(shape("sender_no_such_key"), Some(Shape::Property)));
    assert!(!property_keys().contains("sender_no_such_key"));
    assert!(matches!(shape("sink.no-such-key"), Some(Shape::Pipe)));
    assert!(!pipe_keys().contains_key(&canonical("sink.no-such-key")));
    assert_eq!(pipe_keys().get("connector.compressor"), Some(&Here::No));
    assert_eq!(pipe_keys().get("processor"), Some(&Here::Yes));
    let command = &commands()["tidegate-sender"];
    let faults: Vec<&str> = command.faults(&["stat", "--jsno"]).collect();
    assert_eq!(faults, ["stat", "--jsno"]);
    assert_eq!(command.faults(&["status", "--json"]).count(), 0);
    let quoted = "pipe ... lane ...: no connection: a text of nobody";
    assert_eq!(fragments(quoted).collect::<Vec<_>>(), ["no connection", "a text of nobody"]);
    assert!(tests().contains("the_rules_can_fail") && !tests().contains("shape"));
    assert_eq!(links("see [a](b.md#c) and [d](e)"), ["b.md#c", "e"]);
    assert!(anchors("# A full disk\n").contains("a-full-disk"));
    let table = "| A | B |\n|---|---|\n| `x` | y |\n\ntext\n| C |\n";
    assert_eq!(tables(table).len(), 2);
}

/// One of the project's Markdown files.
struct Document {
    path: PathBuf,
    text: String,
    /// Texts in back-quotes, outside examples.
    spans: Vec<String>,
    /// Examples: the word behind the fence, and the lines.
    blocks: Vec<(String, String)>,
}

/// Applies `faults` to every document and fails with all that it finds.
fn check(mut faults: impl FnMut(&Document) -> Vec<String>) {
    let root = workspace::root();
    let mut paths: Vec<PathBuf> =
        ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md"]
            .iter()
            .map(|name| root.join(name))
            .collect();
    let manual = fs::read_dir(root.join("docs/manual")).expect("docs/manual");
    paths.extend(manual.map(|entry| entry.expect("an entry of docs/manual").path()));
    assert!(10 < paths.len(), "the manual is missing");
    let mut found = Vec::new();
    for path in paths {
        let document = Document::read(path);
        let shown = document.path.strip_prefix(&root).unwrap_or(&document.path).display();
        found.extend(faults(&document).into_iter().map(|fault| format!("{shown}: {fault}")));
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

impl Document {
    fn read(path: PathBuf) -> Self {
        let text = read(&path);
        let mut blocks = Vec::new();
        let mut prose = String::new();
        let mut open: Option<(String, String)> = None;
        for line in text.lines() {
            match (line.trim_start().strip_prefix("```"), &mut open) {
                (Some(kind), None) => open = Some((kind.to_owned(), String::new())),
                (Some(_), Some(_)) => blocks.extend(open.take()),
                (None, Some((_, block))) => *block += &format!("{line}\n"),
                (None, None) => prose += &format!("{line}\n"),
            }
        }
        assert!(open.is_none(), "{}: an example does not end", path.display());
        Self { spans: spans_of(&prose), blocks, path, text }
    }
}

enum Shape {
    Property,
    Pipe,
}

/// What a word looks like: a key of a properties file, or one of a pipe.
fn shape(word: &str) -> Option<Shape> {
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "_-.".contains(c);
    let (head, tail) = word.split_once(['_', '.'])?;
    if tail.is_empty() || !word.chars().all(is_plain) {
        return None;
    }
    match head {
        "dn" | "pipe" | "receiver" | "sender" if word[head.len()..].starts_with('_') => {
            (!word.contains('.')).then_some(Shape::Property)
        }
        "connector" | "extractor" | "processor" | "sink" | "source"
            if word[head.len()..].starts_with('.')
                && !["source.pins", "source.skipped", "source.unread"].contains(&word) =>
        {
            Some(Shape::Pipe)
        }
        _ => None,
    }
}

/// A pipe key under the older name of its section.
fn canonical(key: &str) -> String {
    for (newer, older) in [("source", "extractor"), ("sink", "connector")] {
        if let Some(rest) = key.strip_prefix(newer) {
            return format!("{older}{rest}");
        }
    }
    key.to_owned()
}

/// Keys of both configuration files.
fn property_keys() -> BTreeSet<String> {
    let mut keys = keys_of("conf/sender.properties");
    keys.extend(keys_of("conf/receiver.properties"));
    keys
}

/// Keys of a shipped configuration file and their other names.
fn keys_of(conf: &str) -> BTreeSet<String> {
    let text = read(&workspace::root().join(conf));
    let mut keys = BTreeSet::new();
    for line in text.lines() {
        if let Some(alias) = line.strip_prefix("# Also accepted as ") {
            keys.insert(alias.trim_end_matches('.').to_owned());
        } else if let Some((key, _)) = line.trim_start_matches('#').split_once('=')
            && !key.contains(' ')
        {
            keys.insert(key.to_owned());
        }
    }
    assert!(10 < keys.len(), "{conf} holds no keys");
    keys
}

/// Whether a key of a pipe works in this release.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Here {
    No,
    Yes,
}

/// Every key of a pipe with its section in front.
fn pipe_keys() -> BTreeMap<String, Here> {
    let text = read(&workspace::root().join("common/config/src/pipe_keys.rs"));
    let mut keys = BTreeMap::new();
    let mut section = String::new();
    for line in text.lines() {
        if let Some((name, _)) = line.split_once("_KEYS: KeyRules") {
            section = name.rsplit(' ').next().unwrap_or_default().to_lowercase();
        }
        let plugin = line.contains("(PLUGIN, Here)").then_some("");
        let named = line.trim().strip_prefix("(\"").and_then(|rest| rest.split('"').next());
        let Some(key) = plugin.or(named) else { continue };
        let here = if line.contains("Later(") { Here::No } else { Here::Yes };
        let key = if key.is_empty() { section.clone() } else { format!("{section}.{key}") };
        // The processor's list stands on the line that names it.
        keys.insert(key, here);
    }
    assert!(50 < keys.len(), "the list of pipe keys was not understood");
    keys
}

/// What a binary understands.
struct Command {
    subcommands: BTreeSet<String>,
    options: BTreeSet<String>,
}

impl Command {
    /// What of a command line is neither a command nor an option.
    fn faults<'w>(&self, words: &[&'w str]) -> impl Iterator<Item = &'w str> {
        let subcommand = words.first().filter(|word| {
            let is_word = word.chars().all(|c| c.is_ascii_lowercase() || c == '-');
            is_word && !word.starts_with('-') && !self.subcommands.contains(**word)
        });
        let options = words.iter().filter(|word| {
            word.starts_with("--") && !self.options.contains(word.trim_end_matches(','))
        });
        subcommand.into_iter().chain(options).copied().collect::<Vec<_>>().into_iter()
    }
}

fn commands() -> BTreeMap<&'static str, Command> {
    let simulator = Args::command();
    let options = simulator.get_arguments().filter_map(|argument| argument.get_long());
    let mut options: BTreeSet<String> = options.map(|long| format!("--{long}")).collect();
    options.extend(["--help", "--version"].map(str::to_owned));
    BTreeMap::from([
        ("tidegate-gateway-sim", Command { subcommands: BTreeSet::new(), options }),
        ("tidegate-receiver", daemon_command("receiver/src/cli.rs")),
        ("tidegate-sender", daemon_command("sender/src/main.rs")),
    ])
}

/// Reads the clap structs of a daemon from their source.
fn daemon_command(source: &str) -> Command {
    let text = read(&workspace::root().join(source));
    let body = text.split("enum Command {").nth(1).and_then(|rest| rest.split("\n}").next());
    let variants = body.expect(source).lines().map(str::trim);
    let variants = variants.filter(|line| line.starts_with(|c: char| c.is_ascii_uppercase()));
    let mut subcommands: BTreeSet<String> = variants
        .map(|line| kebab(line.split(['(', ',', ' ']).next().unwrap_or_default()))
        .collect();
    subcommands.insert("help".to_owned());
    let mut options: BTreeSet<String> = ["--help", "--version"].map(str::to_owned).into();
    for (attribute, field) in text.lines().zip(text.lines().skip(1)) {
        if attribute.trim().starts_with("#[arg(long") {
            let name = field.trim().split(':').next().unwrap_or_default();
            options.insert(format!("--{}", name.replace('_', "-")));
        }
    }
    assert!(2 < options.len() && 2 < subcommands.len(), "{source} was not understood");
    Command { subcommands, options }
}

/// `CheckConf` as clap writes it: `check-conf`.
fn kebab(variant: &str) -> String {
    let mut out = String::new();
    for c in variant.chars() {
        if c.is_ascii_uppercase() && !out.is_empty() {
            out.push('-');
        }
        out.push(c.to_ascii_lowercase());
    }
    out
}

/// Names of the fields of status structs.
fn status_fields(sources: &[&str]) -> BTreeSet<String> {
    let mut fields = BTreeSet::new();
    for source in sources {
        for line in read(&workspace::root().join(source)).lines() {
            let line = line.trim().trim_start_matches("pub(crate) ");
            if let Some((name, _)) = line.split_once(": ")
                && name.chars().all(|c| c.is_ascii_lowercase() || c == '_')
            {
                fields.insert(name.to_owned());
            }
        }
    }
    fields
}

/// The code of the daemons and the libraries, texts that span lines joined.
fn sources() -> String {
    let mut all = String::new();
    for folder in ["common", "receiver/src", "sender/src"] {
        let folder = workspace::root().join(folder);
        for path in workspace::rust_files(&folder).expect("source files") {
            for (at, line) in read(&path).split("\\\n").enumerate() {
                all += if at == 0 { line } else { line.trim_start() };
            }
        }
    }
    all
}

/// Names of all tests.
fn tests() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for folder in ["common", "receiver", "sender", "tests"] {
        let folder = workspace::root().join(folder);
        for path in workspace::rust_files(&folder).expect("source files") {
            let text = read(&path);
            for rest in text.split("#[test]\n").skip(1) {
                let name =
                    rest.trim_start().strip_prefix("fn ").and_then(|it| it.split('(').next());
                names.extend(name.map(str::to_owned));
            }
        }
    }
    names
}

/// The parts of a quoted message that stand in the code as they are.
fn fragments(message: &str) -> impl Iterator<Item = &str> {
    let parts = message.split("...").flat_map(|part| part.split([':', ';', '(', ')', '=']));
    parts.map(str::trim).filter(|part| FRAGMENT_CHARS_MIN <= part.chars().count())
}

/// Every `--option` in the sections of a manual page that `wanted` takes.
fn section_words(page: &str, wanted: impl Fn(&str) -> bool, start: &str) -> BTreeSet<String> {
    let sections = page.split("\n.SH ").skip(1).filter(|section| wanted(section));
    let sections = sections.filter(|section| section.starts_with("OPTIONS"));
    let mut words = BTreeSet::new();
    for line in sections.flat_map(|section| section.split("\n.TP\n").skip(1)) {
        let head = unroff(line.lines().next().unwrap_or_default());
        words.extend(
            head.split([' ', '"', ',']).filter(|it| it.starts_with(start)).map(str::to_owned),
        );
    }
    words
}

/// What each entry of a section of a manual page begins with.
fn bold_in_section(page: &str, heading: &str) -> BTreeSet<String> {
    let section = page.split("\n.SH ").find(|section| section.starts_with(heading));
    let entries = section.into_iter().flat_map(|section| section.split("\n.TP\n").skip(1));
    entries.filter_map(|entry| Some(unroff(entry.lines().next()?.strip_prefix(".B ")?))).collect()
}

fn unroff(line: &str) -> String {
    line.replace("\\-", "-")
}

/// The rows of all tables, cell by cell, without the lines under their headings.
fn rows(text: &str) -> Vec<Vec<String>> {
    tables(text).into_iter().flatten().collect()
}

/// The tables of a text; the first row of each is its heading.
fn tables(text: &str) -> Vec<Vec<Vec<String>>> {
    let mut tables: Vec<Vec<Vec<String>>> = Vec::new();
    let mut is_inside = false;
    for line in text.lines() {
        let row = line.trim().strip_prefix('|').and_then(|line| line.strip_suffix('|'));
        let Some(row) = row else {
            is_inside = false;
            continue;
        };
        if row.chars().all(|c| "-| :".contains(c)) {
            continue;
        }
        let cells = row.split('|').map(|cell| cell.trim().to_owned()).collect();
        match tables.last_mut().filter(|_| is_inside) {
            Some(table) => table.push(cells),
            None => tables.push(vec![cells]),
        }
        is_inside = true;
    }
    tables
}

/// The texts in back-quotes.
fn spans_of(text: &str) -> Vec<String> {
    text.split('`').skip(1).step_by(2).map(|span| span.replace('\n', " ")).collect()
}

/// The cell's text, if it is one text in back-quotes.
fn code(cell: &str) -> Option<String> {
    let inner = cell.strip_prefix('`')?.strip_suffix('`')?;
    (!inner.contains('`')).then(|| inner.to_owned())
}

/// Targets of the links of a Markdown text.
fn links(text: &str) -> Vec<String> {
    let targets = text.split("](").skip(1);
    targets.filter_map(|rest| Some(rest.split_once(')')?.0.to_owned())).collect()
}

/// The anchors that the headings of a Markdown text make.
fn anchors(text: &str) -> BTreeSet<String> {
    let headings = text.lines().filter(|line| line.starts_with('#'));
    let slug = |heading: &str| {
        let heading = heading.trim_start_matches('#').trim().to_lowercase();
        let kept = heading.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
        kept.map(|c| if c == ' ' { '-' } else { c }).collect()
    };
    headings.map(slug).collect()
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
