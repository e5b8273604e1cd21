//! Words of IoTDB's grammar: those that are taken here, and those that are refused by name.

/// What refusals of anything that writes or administers say.
pub(crate) const EXPORT: &str = "the store is only read: export the data with `tidegate-receiver \
                                 export`, and load it into an IoTDB";

/// What refusals of queries say.
pub(crate) const SIMPLER: &str = "ask a simpler question, or export the data with \
                                  `tidegate-receiver export`, and ask an IoTDB";

/// What refusals of the table model say.
pub(crate) const TABLES: &str = "tables cannot be asked: export them with `tidegate-receiver export \
                                 --database`";

/// Words with which a statement begins in IoTDB and may not begin here.
pub(crate) const STATEMENTS: &[&str] = &[
    "ALTER",
    "CALL",
    "CLEAR",
    "CREATE",
    "DEACTIVATE",
    "DEBUG",
    "DELETE",
    "DESC",
    "DESCRIBE",
    "DROP",
    "EXPLAIN",
    "EXTEND",
    "FLUSH",
    "FULL",
    "GRANT",
    "INSERT",
    "KILL",
    "LIST",
    "LOAD",
    "MERGE",
    "MIGRATE",
    "RECONSTRUCT",
    "REMOVE",
    "REVOKE",
    "SET",
    "SETTLE",
    "START",
    "STOP",
    "TRACING",
    "UNLOAD",
    "UNSET",
    "UPDATE",
    "USE",
    "VERIFY",
];

/// Words that may follow SHOW or COUNT in IoTDB and may not here.
pub(crate) const SUBJECTS: &[&str] = &[
    "AINODES",
    "ALL",
    "CHILD",
    "CLUSTER",
    "CLUSTERID",
    "CONFIGNODES",
    "CONTINUOUS",
    "CQS",
    "CURRENT_SQL_DIALECT",
    "CURRENT_TIMESTAMP",
    "CURRENT_USER",
    "DATA",
    "DATANODES",
    "DEVICE",
    "FLUSH",
    "FUNCTIONS",
    "LATEST",
    "LOCK",
    "MODELS",
    "NODES",
    "PATHS",
    "PIPE",
    "PIPEPLUGINS",
    "PIPES",
    "QUERIES",
    "QUERY",
    "REGIONID",
    "REGIONS",
    "SCHEMA",
    "SERIESSLOTID",
    "SPACE",
    "SUBSCRIPTIONS",
    "THROTTLE",
    "TIMEPARTITION",
    "TIMESLOTID",
    "TOPIC",
    "TOPICS",
    "TRIGGERS",
    "TTL",
    "VARIABLES",
    "VERSION",
    "VIEW",
];

/// Words inside a statement that IoTDB knows there and that are refused here.
pub(crate) const CLAUSES: &[&str] =
    &["CASE", "CAST", "CONTAINS", "FILL", "HAVING", "INTO", "REGEXP", "SLIMIT", "SOFFSET", "WITH"];

/// Words that cannot be names of nodes in IoTDB, or could be mistaken by our parser: as a node they
/// are shown in backticks.
const QUOTED: &[&str] = &[
    "align",
    "and",
    "as",
    "asc",
    "between",
    "by",
    "case",
    "cast",
    "contains",
    "desc",
    "escape",
    "false",
    "from",
    "group",
    "having",
    "in",
    "is",
    "last",
    "like",
    "limit",
    "nan",
    "not",
    "now",
    "null",
    "offset",
    "or",
    "order",
    "regexp",
    "root",
    "time",
    "timestamp",
    "true",
    "where",
];

/// Of these the ones that mean something else where a path begins with them, or are no node at all: they
/// are in backticks also where names are shown.
const NOT_BARE: &[&str] =
    &["case", "cast", "false", "nan", "not", "null", "root", "time", "timestamp", "true"];

/// Words that IoTDB takes for no node.
const NO_NODES: &[&str] = &["root", "time", "timestamp"];

/// Texts less alike than this are not offered.
const LIKENESS_MIN: f64 = 0.6;

/// Words longer than this are not compared: the comparison is quadratic.
const COMPARED_BYTES_MAX: usize = 40;

/// Whether a name that is this word has to be shown in backticks.
pub(crate) fn is_quoted(word: &str) -> bool {
    QUOTED.iter().any(|it| it.eq_ignore_ascii_case(word))
}

/// Whether a name that is this word cannot be asked for without backticks.
pub(crate) fn is_not_bare(word: &str) -> bool {
    find(NOT_BARE, word).is_some()
}

/// Whether this word without backticks is no name of a node.
pub(crate) fn is_no_node(word: &str) -> bool {
    NO_NODES.iter().any(|it| it.eq_ignore_ascii_case(word))
}

/// That word of `words`, in any case.
pub(crate) fn find(words: &[&'static str], word: &str) -> Option<&'static str> {
    words.iter().copied().find(|it| it.eq_ignore_ascii_case(word))
}

/// The one most like `word`, if any is alike.
pub(crate) fn nearest(word: &str, candidates: &[&'static str]) -> Option<&'static str> {
    if COMPARED_BYTES_MAX < word.len() {
        return None;
    }
    let word = word.to_ascii_uppercase();
    let mut best: Option<(f64, &'static str)> = None;
    for candidate in candidates {
        let likeness = strsim::normalized_damerau_levenshtein(&word, candidate);
        if (LIKENESS_MIN..1.0).contains(&likeness)
            && best.is_none_or(|(so_far, _)| so_far < likeness)
        {
            best = Some((likeness, candidate));
        }
    }
    best.map(|(_, candidate)| candidate)
}
