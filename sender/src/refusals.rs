//! Requests that a peer refuses one after the other. Files may be taken meanwhile: their forms differ
//! less between IoTDB's generations. So it is mostly the dialect, and one reply byte does not say so.

use tidegate_link::sending::DialectRule;
use tidegate_model::Dialect;
use tidegate_model::Verdict;

/// So many refusals in a row are no accident.
const STEADY: u32 = 3;

/// What a lane's peer has said to requests of late.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Refusals {
    in_a_row: u32,
    /// In whose forms the last one was.
    dialect: Option<Dialect>,
}

impl Refusals {
    /// Takes in what a peer said to a request; whether refusals have become steady by it.
    pub(crate) fn note(&mut self, verdict: Verdict, dialect: Option<Dialect>) -> bool {
        match verdict {
            Verdict::Accepted => *self = Self::default(),
            Verdict::Refused if dialect == self.dialect => {
                self.in_a_row = self.in_a_row.saturating_add(1);
            }
            Verdict::Refused => *self = Self { in_a_row: 1, dialect },
            Verdict::Unknown => return false,
        }
        self.in_a_row == STEADY
    }

    /// What may help, once they are steady.
    pub(crate) fn hint(&self, rule: DialectRule) -> Option<String> {
        let dialect = self.dialect.filter(|_| self.in_a_row >= STEADY)?;
        let why = match rule {
            DialectRule::Auto(_) => "which auto took from the source",
            DialectRule::Fixed(_) => "as connector.tidegate.dialect says",
        };
        Some(format!(
            "points or deletions were refused {} times in a row in the forms of dialect {dialect}, \
             {why}: if the peer is an IoTDB of another generation, set connector.tidegate.dialect to \
             that (1.2, 1.3 or 2.0); if not, its own log has the reason",
            self.in_a_row
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: Option<Dialect> = Some(Dialect::V1_3);

    #[test]
    fn three_refusals_in_a_row_are_a_hint_and_the_third_one_is_news() {
        let auto = DialectRule::Auto(Dialect::V1_3);
        let mut refusals = Refusals::default();
        let steady: Vec<bool> = (0..5).map(|_| refusals.note(Verdict::Refused, OWN)).collect();
        assert_eq!(steady, [false, false, true, false, false]);
        let hint = refusals.hint(auto).expect("a hint");
        assert!(
            hint.contains("5 times in a row in the forms of dialect 1.3, which auto"),
            "{hint}"
        );
        assert!(hint.contains("set connector.tidegate.dialect"), "{hint}");
        let fixed = refusals.hint(DialectRule::Fixed(Dialect::V1_3)).expect("a hint");
        assert!(fixed.contains("as connector.tidegate.dialect says"), "{fixed}");
        assert!(!refusals.note(Verdict::Accepted, OWN));
        assert_eq!(refusals.hint(auto), None, "the peer takes such requests");
    }

    #[test]
    fn what_says_nothing_of_the_dialect_is_no_refusal_of_it() {
        let rule = DialectRule::Auto(Dialect::V1_2);
        let mut refusals = Refusals::default();
        for _ in 0..10 {
            assert!(!refusals.note(Verdict::Unknown, OWN));
        }
        assert_eq!(refusals.hint(rule), None);
        // another connection agreed on another one
        for (dialect, steady) in
            [(OWN, false), (OWN, false), (Some(Dialect::V1_2), false), (Some(Dialect::V1_2), false)]
        {
            assert_eq!(refusals.note(Verdict::Refused, dialect), steady);
        }
        assert_eq!(refusals.hint(rule), None);
        assert!(!refusals.note(Verdict::Unknown, OWN), "it breaks no row");
        assert!(refusals.note(Verdict::Refused, Some(Dialect::V1_2)));
    }
}
