//! Progress indexes in little room: there is one for each file.

use std::borrow::Cow;

use tidegate_tsfile::ProgressIndex;
use tidegate_tsfile::SimpleProgress;

/// A progress index as it is kept for each file. Nearly all are a number or two.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct FileProgress(Form);

#[derive(Clone, Debug, Eq, PartialEq)]
enum Form {
    Iot { peer: i32, search_index: i64 },
    Simple(SimpleProgress),
    Recover { data_node: i32, progress: SimpleProgress },
    Whole(Box<ProgressIndex>),
}

impl From<ProgressIndex> for FileProgress {
    fn from(index: ProgressIndex) -> Self {
        let iot = index.iot_peers().next();
        let iot = iot.map(|(peer, search_index)| Form::Iot { peer, search_index });
        let simple = index.simple_part().map(Form::Simple);
        let recover = index.recover_nodes().next();
        let recover = recover.map(|(data_node, progress)| Form::Recover { data_node, progress });
        let short = [iot, simple, recover].into_iter().flatten().map(Self);
        let exact = short.into_iter().find(|it| *it.whole() == index);
        exact.unwrap_or_else(|| Self(Form::Whole(Box::new(index))))
    }
}

impl FileProgress {
    /// The index.
    pub fn whole(&self) -> Cow<'_, ProgressIndex> {
        match &self.0 {
            Form::Iot { peer, search_index } => {
                Cow::Owned(ProgressIndex::iot(*peer, *search_index))
            }
            Form::Simple(it) => Cow::Owned(ProgressIndex::simple(it.reboots, it.flush_order)),
            Form::Recover { data_node, progress } => {
                Cow::Owned(ProgressIndex::recover(*data_node, *progress))
            }
            Form::Whole(index) => Cow::Borrowed(index),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_in_little_room_comes_back_as_it_was() {
        let simple = SimpleProgress { reboots: 3, flush_order: 9 };
        let iot = ProgressIndex::iot(1, 7);
        let joined = |index: &ProgressIndex| iot.clone().joined(index);
        let indexes = [
            ProgressIndex::minimum(),
            iot.clone(),
            ProgressIndex::simple(3, 9),
            ProgressIndex::recover(2, simple),
            ProgressIndex::meta(5),
            joined(&ProgressIndex::iot(2, 8)),
            joined(&ProgressIndex::simple(3, 9)),
            joined(&ProgressIndex::meta(5)),
            ProgressIndex::recover(2, simple).joined(&ProgressIndex::recover(1, simple)),
        ];
        for index in indexes {
            assert_eq!(*FileProgress::from(index.clone()).whole(), index);
        }
        assert!(size_of::<Option<FileProgress>>() <= 24, "it is why this exists");
    }
}
