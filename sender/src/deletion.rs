//! Deletions as requests: the plans that IoTDB's own pipes send.

use tidegate_model::Dialect;
use tidegate_model::path;
use tidegate_source::DeleteItem;
use tidegate_source::RegionKey;
use tidegate_source::Series;
use tidegate_wire::Payload;
use tidegate_wire::Request;
use tidegate_wire::request::DeleteData;
use tidegate_wire::request::Deletion;
use tidegate_wire::request::DeletionTarget;
use tidegate_wire::request::Path;
use tidegate_wire::request::Plan;
use tidegate_wire::request::Predicate;
use tidegate_wire::request::RelationalDelete;
use tidegate_wire::request::Seq;
use tidegate_wire::request::VarText;

/// The request that has a peer of that dialect delete; `None` if the dialect has none.
///
/// The air gap of 1.2 takes no plan, and only 2.0 knows tables.
pub(crate) fn request(
    item: &DeleteItem,
    region: &RegionKey,
    dialect: Dialect,
) -> Option<Result<Vec<u8>, String>> {
    let (start_time, end_time) = (item.deletion.start, item.deletion.end);
    let plan = match &item.deletion.series {
        Series::Tree { .. } if dialect < Dialect::V1_3 => return None,
        Series::Table { .. } if dialect < Dialect::V2_0 => return None,
        Series::Tree { paths } => {
            // Stock receivers of 2.0 take patterns in this form only.
            let paths = paths.iter().map(|it| Path::measurement(it, path::nodes(it))).collect();
            let paths = Seq::new(paths, ());
            Plan::Delete(DeleteData { paths, start_time, end_time, plan_node_id: "" })
        }
        Series::Table { table, devices, columns } => {
            let columns: Vec<VarText<'_>> =
                columns.iter().map(|column| VarText(Some(column))).collect();
            let entries = devices.iter().map(|device| {
                let segments = device.0.iter().map(|it| VarText(it.as_deref())).collect();
                Deletion {
                    start_time,
                    end_time,
                    target: DeletionTarget::Table {
                        table: Some(table),
                        predicate: Predicate::Device(Seq::new(segments, ())),
                        columns: Seq::new(columns.clone(), ()),
                    },
                }
            });
            Plan::RelationalDelete(RelationalDelete {
                entries: Seq::new(entries.collect(), ()),
                database: Some(&region.database),
                plan_node_id: "",
            })
        }
    };
    let mut payload = Vec::new();
    let encoded = Payload::from(Request::Plan(plan)).encode(&mut payload);
    Some(encoded.map(|()| payload).map_err(|error| error.to_string()))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tidegate_source::DeletionKey;
    use tidegate_tsfile::Segments;
    use tidegate_tsfile::Target;

    use super::*;

    fn item(series: Series) -> DeleteItem {
        let target = Target::Tree { pattern: "root.**".into() };
        let entry = tidegate_tsfile::Deletion { target, start: 1, end: 5 };
        let deletion = tidegate_source::Deletion { start: 1, end: 5, series };
        DeleteItem { partition: 0, key: DeletionKey::of(&entry), deletion }
    }

    fn region() -> RegionKey {
        RegionKey { database: "plant".into(), region: 1 }
    }

    #[test]
    fn each_dialect_gets_the_deletions_that_it_knows_in_a_form_that_reads_back() {
        let paths: Vec<Arc<str>> = vec!["root.a.`b.c`.s".into(), "root.a.d.*".into()];
        let tree = item(Series::Tree { paths: paths.iter().cloned().collect() });
        let device = Segments(vec![Some("pumps".into()), None, Some("p1".into())].into());
        let table = item(Series::Table {
            table: "pumps".into(),
            devices: [device].into(),
            columns: vec!["v".into()].into(),
        });
        assert_eq!(request(&tree, &region(), Dialect::V1_2), None);
        assert_eq!(request(&table, &region(), Dialect::V1_3), None);
        for dialect in [Dialect::V1_3, Dialect::V2_0] {
            let payload = request(&tree, &region(), dialect).expect("a form").expect("a payload");
            let Ok(Payload { request: Request::Plan(Plan::Delete(delete)), .. }) =
                Payload::decode(&payload)
            else {
                panic!("{payload:02x?}");
            };
            let read: Vec<String> = delete.paths.iter().map(|path| path.full_path()).collect();
            assert_eq!(read, ["root.a.`b.c`.s", "root.a.d.*"]);
            assert_eq!((delete.start_time, delete.end_time), (1, 5));
        }
        let payload =
            request(&table, &region(), Dialect::V2_0).expect("a form").expect("a payload");
        let Ok(Payload { request: Request::Plan(Plan::RelationalDelete(delete)), .. }) =
            Payload::decode(&payload)
        else {
            panic!("{payload:02x?}");
        };
        assert_eq!((delete.database, delete.entries.len()), (Some("plant"), 1));
    }
}
