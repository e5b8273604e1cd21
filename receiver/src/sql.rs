//! `tidegate-receiver sql`: statements from the command line, from a pipe, or typed in.

use std::io;
use std::io::BufRead;
use std::io::BufWriter;
use std::io::IsTerminal;
use std::io::Write;

use clap::ValueEnum;
use tidegate_query::Head;
use tidegate_query::Query;
use tidegate_query::QueryError;
use tidegate_query::Sink;
use tidegate_query::output::Csv;
use tidegate_query::output::Json;
use tidegate_query::output::Table;
use tidegate_query::patterns;
use tidegate_query::text::Text;
use tidegate_sql::STATEMENT_BYTES_MAX;
use tidegate_sql::Statement;
use tidegate_sql::parse;
use tidegate_sql::time::UtcOffset;
use tidegate_tsfile::Batch;

use crate::data::Place;
use crate::data::Stores;
use crate::data::Tried;
use crate::data::View;
use crate::data::context;

const BUFFER_BYTES: usize = 128 * 1024;

/// Form of rows.
#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum Format {
    /// As IoTDB's command line prints them
    Table,
    /// Comma-separated, with a line of names; null is nothing, an empty text is ""
    Csv,
    /// One object a line
    Json,
}

/// Form of times.
#[derive(Clone, Copy, Eq, PartialEq, ValueEnum)]
pub(crate) enum Times {
    /// 2024-05-01T00:00:00.000Z
    Iso,
    /// The number, in the unit of the store
    Epoch,
}

/// How to answer.
pub(crate) struct Shell {
    pub(crate) place: Place,
    pub(crate) format: Format,
    pub(crate) times: Times,
    pub(crate) offset: UtcOffset,
}

/// Why a statement was not answered.
pub(crate) enum Failure {
    /// Whoever reads the rows has seen enough.
    Closed,
    /// To be told.
    Message(String),
}

impl From<String> for Failure {
    fn from(message: String) -> Self {
        Self::Message(message)
    }
}

impl Shell {
    /// Answers one statement.
    pub(crate) fn answer(&self, statement: &str) -> Result<(), Failure> {
        self.place.with_stores(|stores| self.answer_from(stores, statement))
    }

    /// A statement, and the stores that it is about. Its times are of their unit, which is known once it
    /// is known which these are.
    fn parsed<'s>(
        &self,
        stores: &'s Stores,
        statement: &str,
    ) -> Result<(Statement, View<'s>), String> {
        let parsed = |precision| parse(statement, &context(precision, self.offset));
        let mut first = None;
        for unit in stores.units() {
            let found = match parsed(unit) {
                Ok(found) => found,
                Err(error) => {
                    first.get_or_insert(error);
                    continue;
                }
            };
            let patterns = patterns(&found).map_err(|error| error.to_string())?;
            let view = match &patterns {
                // no time is in it
                None => stores.all(),
                Some(patterns) => stores.of(patterns)?,
            };
            let found = match view.precision == unit {
                true => found,
                false => parsed(view.precision).map_err(|error| error.to_string())?,
            };
            return Ok((found, view));
        }
        Err(first.map_or_else(String::new, |error| error.to_string()))
    }

    fn answer_from(&self, stores: &Stores, statement: &str) -> Result<(), Tried<Failure>> {
        let (parsed, view) = self.parsed(stores, statement)?;
        let precision = view.precision;
        let offset = (self.times == Times::Iso).then_some(self.offset);
        let text = Text { precision, offset };
        let sources = view.sources();
        let query = Query { sources: &sources, precision, offset: self.offset };
        let mut sink = Begun { sink: self.sink(text), is_begun: false };
        match query.run(&parsed, &mut sink) {
            Ok(outcome) => {
                for notice in &outcome.notices {
                    eprintln!("tidegate-receiver: {notice}");
                }
                if outcome.n_more_notices > 0 {
                    eprintln!("tidegate-receiver: {} more of these", outcome.n_more_notices);
                }
                Ok(())
            }
            Err(error) if error.is_vanished() && sink.is_begun => Err(Tried::from(format!(
                "{error}: files were merged meanwhile, the rows are not complete; ask again"
            ))),
            Err(QueryError::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
                Err(Tried::Failed(Failure::Closed))
            }
            Err(error) => Err(error.into()),
        }
    }

    fn sink(&self, text: Text) -> Box<dyn Sink> {
        let out = BufWriter::with_capacity(BUFFER_BYTES, io::stdout().lock());
        match self.format {
            Format::Csv => Box::new(Csv::new(out, text)),
            Format::Json => Box::new(Json::new(out, text)),
            Format::Table => Box::new(Table::new(out, text)),
        }
    }

    /// Answers what comes in, statement by statement; stops at the first failure unless somebody is
    /// typing.
    pub(crate) fn answer_all(&self) -> Result<(), Failure> {
        let is_typed = io::stdin().is_terminal();
        let mut input = io::stdin().lock();
        let mut waiting = String::new();
        loop {
            if is_typed {
                let prompt = if waiting.trim().is_empty() { "tidegate> " } else { "       -> " };
                print!("{prompt}");
                // without a prompt there is still an answer
                let _ = io::stdout().flush();
            }
            let mut line = Vec::new();
            let most = (STATEMENT_BYTES_MAX as u64).saturating_mul(2);
            let read = io::Read::take(&mut input, most).read_until(b'\n', &mut line);
            let n_bytes = read.map_err(|error| Failure::Message(error.to_string()))?;
            waiting.push_str(&String::from_utf8_lossy(&line));
            let is_over = n_bytes == 0;
            while let Some(statement) = next_statement(&mut waiting, is_over) {
                let word = statement.trim().trim_end_matches(';').trim();
                if is_typed && ["quit", "exit"].iter().any(|it| word.eq_ignore_ascii_case(it)) {
                    return Ok(());
                }
                match self.answer(&statement) {
                    Err(Failure::Message(message)) if is_typed => eprintln!("{message}"),
                    outcome => outcome?,
                }
            }
            if is_over {
                return Ok(());
            }
            if waiting.len() > STATEMENT_BYTES_MAX {
                let message =
                    format!("expected a statement of at most {STATEMENT_BYTES_MAX} bytes");
                return Err(Failure::Message(message));
            }
        }
    }
}

/// Takes the first statement away, with its semicolon; the rest too if nothing follows.
fn next_statement(waiting: &mut String, is_over: bool) -> Option<String> {
    let mut end = end_of_statement(waiting);
    if end.is_none() && matches!(waiting.trim(), "quit" | "exit") {
        end = Some(waiting.len());
    }
    let end = end.or_else(|| is_over.then_some(waiting.len()))?;
    let rest = waiting.split_off(end);
    let statement = core::mem::replace(waiting, rest);
    match statement.trim().trim_end_matches(';').trim().is_empty() {
        true if waiting.trim().is_empty() => None,
        true => next_statement_behind(waiting, is_over),
        false => Some(statement),
    }
}

/// Behind an empty one.
fn next_statement_behind(waiting: &mut String, is_over: bool) -> Option<String> {
    let from = waiting.find(|it: char| it != ';' && !it.is_whitespace())?;
    drop(waiting.drain(..from));
    let end = end_of_statement(waiting).or_else(|| is_over.then_some(waiting.len()))?;
    let rest = waiting.split_off(end);
    Some(core::mem::replace(waiting, rest))
}

/// Behind the first semicolon that stands in no text, name or comment.
fn end_of_statement(text: &str) -> Option<usize> {
    let mut chars = text.char_indices().peekable();
    while let Some((at, char)) = chars.next() {
        let follows = |wanted: char| text.get(at..).is_some_and(|it| it[1..].starts_with(wanted));
        match char {
            ';' => return Some(at.saturating_add(1)),
            '\'' | '"' | '`' => {
                chars.by_ref().find(|(_, other)| *other == char);
            }
            '-' if follows('-') => {
                chars.by_ref().find(|(_, other)| *other == '\n');
            }
            '/' if follows('*') => {
                let behind = text.get(at.saturating_add(2)..).unwrap_or_default();
                let end = behind.find("*/")?.saturating_add(at).saturating_add(3);
                chars.by_ref().find(|(other, _)| *other == end);
            }
            _ => (),
        }
    }
    None
}

/// Knows whether something was given out, so that it cannot begin again.
struct Begun {
    sink: Box<dyn Sink>,
    is_begun: bool,
}

impl Sink for Begun {
    fn head(&mut self, head: &Head) -> io::Result<()> {
        self.is_begun = true;
        self.sink.head(head)
    }

    fn rows(&mut self, rows: &Batch) -> io::Result<()> {
        self.sink.rows(rows)
    }

    fn finish(&mut self) -> io::Result<()> {
        self.sink.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(text: &str) -> Vec<String> {
        let mut waiting = text.to_owned();
        let mut found = Vec::new();
        while let Some(statement) = next_statement(&mut waiting, true) {
            found.push(statement.trim().to_owned());
        }
        found
    }

    #[test]
    fn a_statement_ends_at_a_semicolon_that_is_in_no_text_name_or_comment() {
        assert_eq!(split("A; B ;\n;; C"), ["A;", "B ;", "C"]);
        assert_eq!(split("A 'x;''y'; B `;`; C \";\";"), ["A 'x;''y';", "B `;`;", "C \";\";"]);
        assert_eq!(split("A -- ; no\n; /* ; */ B;"), ["A -- ; no\n;", "/* ; */ B;"]);
        assert_eq!(split(" ; ;\n"), Vec::<String>::new());
        let mut waiting = String::from("A 'x;");
        assert_eq!(next_statement(&mut waiting, false), None);
        assert_eq!(waiting, "A 'x;", "the rest may come");
    }
}
