//! One statement over some snapshots.

use std::collections::BTreeSet;

use tidegate_durable::Storage;
use tidegate_model::Precision;
use tidegate_model::path;
use tidegate_sql::Align;
use tidegate_sql::Statement;
use tidegate_sql::shown_path;
use tidegate_sql::time::UtcOffset;
use tidegate_store::DeviceScan;
use tidegate_store::Pattern;
use tidegate_store::Snapshot;

use crate::NOTICES_MAX;
use crate::QueryError;
use crate::Sink;
use crate::aggregate;
use crate::answer::Pages;
use crate::last;
use crate::select;
use crate::show;
use crate::text::named;

/// What one origin has.
#[derive(Debug)]
#[allow(clippy::exhaustive_structs)] // what a source is
pub struct Source<'s, S: Storage> {
    /// The origin.
    pub name: &'s str,
    /// What its store holds.
    pub snapshot: &'s Snapshot<S>,
}

/// Where statements are answered from.
#[derive(Debug)]
#[allow(clippy::exhaustive_structs)] // what there is to know
pub struct Query<'s, S: Storage> {
    /// The origins; their times are of one unit.
    pub sources: &'s [Source<'s, S>],
    /// That unit.
    pub precision: Precision,
    /// Where months begin, and where times are shown.
    pub offset: UtcOffset,
}

/// What is to be said beside the rows.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Outcome {
    /// How many rows there were.
    pub n_rows: u64,
    /// What people should know: points that cannot be shown, and tables that cannot be asked.
    pub notices: Vec<String>,
    /// Notices beyond [`NOTICES_MAX`].
    pub n_more_notices: u64,
}

impl Outcome {
    /// Remembers files without rows that are asked for, of which nobody can say which series they have.
    pub(crate) fn notice_unread<S: Storage>(&mut self, origin: &str, scan: &DeviceScan<S>) {
        for file in scan.unread() {
            let notice = format!(
                "{origin}: {file} cannot be read: series that it alone has are not among the columns, no \
                 row of these times is missing"
            );
            if !self.notices.contains(&notice) {
                self.add(notice);
            }
        }
    }

    /// Remembers that something was asked for that is not there, which an empty answer does not say.
    pub(crate) fn notice_none<'p>(&mut self, paths: impl Iterator<Item = &'p [String]>) {
        let paths: Vec<String> = paths.map(|nodes| nodes.join(".")).collect();
        self.add(format!("no series matches {}", named(paths.iter().map(String::as_str))));
    }

    fn add(&mut self, notice: String) {
        match self.notices.len() < NOTICES_MAX {
            true => self.notices.push(notice),
            false => self.n_more_notices = self.n_more_notices.saturating_add(1),
        }
    }

    /// Remembers points of a device that cannot be shown.
    pub(crate) fn notice<S: Storage>(&mut self, device: &str, scan: &DeviceScan<S>) {
        for hidden in scan.hidden() {
            if self.notices.len() >= NOTICES_MAX {
                self.n_more_notices = self.n_more_notices.saturating_add(1);
                continue;
            }
            let measurement = &hidden.measurement;
            let series = shown_path(&format!("{device}.{}", path::kept_node(measurement)));
            let column = scan.columns().iter().find(|it| it.measurement == *measurement);
            let now = column.map_or("another type", |column| column.data_type.as_str());
            self.notices.push(format!(
                "{} points of {series} are {} in {} and are not shown, since the series is \
                 {now} now",
                hidden.n_points, hidden.data_type, hidden.file
            ));
        }
    }
}

/// The series whose times a statement is about; `None` where no time is in it.
pub fn patterns(statement: &Statement) -> Result<Option<Vec<Pattern>>, QueryError> {
    let wanted = match statement {
        Statement::Select(select) => select::wanted(select)?.0,
        Statement::SelectLast(select) => last::wanted(select)?,
        _ => return Ok(None),
    };
    let pattern = |nodes: &Vec<String>| Pattern::Tree(nodes.join(".").into());
    Ok(Some(wanted.iter().map(pattern).collect()))
}

impl<S: Storage> Query<'_, S> {
    /// Says that there are tables, to whoever may look for them here.
    fn notice_tables(&self, outcome: &mut Outcome) {
        let tables = self.sources.iter().flat_map(|source| source.snapshot.tables());
        let tables: BTreeSet<String> =
            tables.map(|(database, table)| format!("{database}.{table}")).collect();
        if tables.is_empty() {
            return;
        }
        outcome.notices.push(format!(
            "tables cannot be asked, only exported with --database and --table: {}",
            named(tables.iter().map(String::as_str))
        ));
    }

    /// Answers a statement.
    pub fn run(&self, statement: &Statement, sink: &mut dyn Sink) -> Result<Outcome, QueryError> {
        let mut outcome = Outcome::default();
        let page = match statement {
            Statement::Select(select) => select.page,
            Statement::SelectLast(select) => select.page,
            Statement::Show(show) => show.page,
            _ => tidegate_sql::Page::default(),
        };
        let mut pages = Pages::new(sink, page);
        match statement {
            Statement::Count(count) => show::count(self, count, &mut pages)?,
            Statement::Select(select) if select.is_aggregation() => match select.align {
                Align::Time => aggregate::by_time(self, select, &mut pages, &mut outcome)?,
                Align::Device => aggregate::by_device(self, select, &mut pages, &mut outcome)?,
            },
            Statement::Select(select) => match select.align {
                Align::Time => select::by_time(self, select, &mut pages, &mut outcome)?,
                Align::Device => select::by_device(self, select, &mut pages, &mut outcome)?,
            },
            Statement::SelectLast(select) => last::run(self, select, &mut pages, &mut outcome)?,
            Statement::Show(show) => show::show(self, show, &mut pages)?,
            _ => return Err(QueryError::Unknown),
        }
        outcome.n_rows = pages.finish()?;
        if outcome.n_rows == 0 || matches!(statement, Statement::Show(_) | Statement::Count(_)) {
            self.notice_tables(&mut outcome);
        }
        Ok(outcome)
    }
}
