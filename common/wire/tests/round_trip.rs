//! Made-up requests of every type: what goes in comes out, as values and as bytes.

mod support;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use tidegate_codec::PipeCompression;
use tidegate_codec::Writer;
use tidegate_model::Category;
use tidegate_model::Column;
use tidegate_model::DataType;
use tidegate_model::Tablet;
use tidegate_model::Value;
use tidegate_wire::Payload;
use tidegate_wire::Request;
use tidegate_wire::RequestType;
use tidegate_wire::piece::PieceKind;
use tidegate_wire::request::*;

/// Encodes a request, decodes it, and checks that it is the same in value and in bytes.
fn check(request: Request<'_>) {
    let mut payload = Vec::new();
    let made = Payload::from(request);
    made.encode(&mut payload).unwrap();
    assert_eq!(Payload::decode(&payload).as_ref(), Ok(&made));
    support::check_payload(&payload);
}

/// The payload of a type whose body is written by `body`.
fn payload_of(request_type: RequestType, body: impl FnOnce(&mut Writer<'_>)) -> Vec<u8> {
    let mut payload = Vec::new();
    let mut writer = Writer::new(&mut payload);
    PayloadHead { request_type }.encode(&mut writer);
    body(&mut writer);
    writer.finish().unwrap();
    payload
}

fn text() -> impl Strategy<Value = String> {
    "[a-z0-9_.*名\u{1F600}]{0,12}"
}

fn pairs() -> impl Strategy<Value = Vec<(String, Option<String>)>> {
    vec((text(), option::of(text())), 0..6)
}

fn as_pairs(pairs: &[(String, Option<String>)]) -> Seq<'_, Pair<'_>> {
    let pairs = pairs.iter().map(|(key, value)| Pair { key, value: value.as_deref() });
    pairs.collect::<Vec<_>>().into()
}

fn value(data_type: DataType) -> BoxedStrategy<Value> {
    match data_type {
        DataType::Boolean => any::<bool>().prop_map(Value::Boolean).boxed(),
        DataType::Int32 | DataType::Date => any::<i32>().prop_map(Value::Int32).boxed(),
        DataType::Int64 | DataType::Timestamp => any::<i64>().prop_map(Value::Int64).boxed(),
        DataType::Float => any::<f32>().prop_map(Value::Float).boxed(),
        DataType::Double => any::<f64>().prop_map(Value::Double).boxed(),
        _ => vec(any::<u8>(), 0..10).prop_map(Value::Bytes).boxed(),
    }
}

fn category() -> impl Strategy<Value = Category> {
    prop::sample::select(vec![Category::Attribute, Category::Field, Category::Tag, Category::Time])
}

fn column(rows: usize) -> impl Strategy<Value = Column> {
    (prop::sample::select(DataType::ALL.to_vec()), category(), text(), any::<(u8, u8)>())
        .prop_flat_map(move |(data_type, category, name, (encoding, compressor))| {
            vec(option::of(value(data_type)), rows).prop_map(move |values| Column {
                name: name.clone(),
                data_type,
                encoding,
                compressor,
                category,
                values,
            })
        })
}

fn tablet() -> impl Strategy<Value = Tablet> {
    (0usize..20).prop_flat_map(|rows| {
        (text(), any::<bool>(), vec(any::<i64>(), rows), vec(column(rows), 0..5)).prop_map(
            |(device, aligned, times, columns)| Tablet {
                database: None,
                device,
                aligned,
                times,
                columns,
            },
        )
    })
}

/// What a form cannot say is gone.
fn in_form(tablet: &Tablet, form: TabletForm) -> Tablet {
    let mut tablet = tablet.clone();
    if form == TabletForm::Plain {
        tablet.columns.iter_mut().for_each(|column| column.category = Category::Field);
    }
    tablet
}

fn predicate() -> impl Strategy<Value = Vec<u8>> {
    let leaf = prop_oneof![
        Just(vec![0]),
        vec(option::of(text()), 0..4).prop_map(|segments| {
            let mut bytes = vec![1];
            let mut writer = Writer::new(&mut bytes);
            writer.uvar(segments.len() as u32);
            segments.iter().for_each(|segment| writer.vstr(segment.as_deref()));
            bytes
        }),
        (option::of(text()), any::<i32>()).prop_map(|(value, index)| {
            let mut bytes = vec![2];
            let mut writer = Writer::new(&mut bytes);
            writer.vstr(value.as_deref());
            writer.var(index);
            bytes
        }),
    ];
    leaf.prop_recursive(4, 16, 4, |inner| {
        vec(inner, 0..4).prop_map(|inner| {
            let mut bytes = vec![3];
            let mut writer = Writer::new(&mut bytes);
            writer.var(inner.len() as i32);
            inner.iter().for_each(|inner| writer.bytes(inner));
            bytes
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 400,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(20_250_101),
        ..ProptestConfig::default()
    })]

    #[test]
    fn handshakes_and_seals(
        precision in text(),
        config in any::<bool>(),
        parameters in pairs(),
        names in vec((text(), 0i64..), 0..4),
    ) {
        let node = if config { Node::ConfigNode } else { Node::DataNode };
        check(Request::HandshakeV1(HandshakeV1 { node, precision: &precision }));
        check(Request::HandshakeV2(HandshakeV2 { node, parameters: as_pairs(&parameters) }));
        for (key, _) in &parameters {
            let want = parameters.iter().rfind(|(other, _)| other == key).unwrap().1.as_deref();
            prop_assert_eq!(as_pairs(&parameters).value(key), Some(want));
        }
        prop_assert_eq!(as_pairs(&parameters).value("absent!"), None);
        for kind in [SealKind::ConfigSnapshot, SealKind::SchemaSnapshot, SealKind::TsFileWithMods] {
            let seal = FileSealMany {
                kind,
                file_names: names.iter().map(|(name, _)| &name[..]).collect::<Vec<_>>().into(),
                file_bytes: names.iter().map(|(_, bytes)| *bytes).collect::<Vec<_>>().into(),
                parameters: as_pairs(&parameters),
            };
            prop_assert!(seal.files().eq(names.iter().map(|(name, bytes)| (&name[..], *bytes))));
            check(Request::FileSealMany(seal));
        }
        for (file_name, file_bytes) in &names {
            check(Request::FileSeal(FileSeal { file_name, file_bytes: *file_bytes }));
        }
    }

    #[test]
    fn pieces_slices_and_opaque_plans(
        file_name in text(),
        offset in 0i64..,
        data in vec(any::<u8>(), 0..100),
        (order_id, index, code) in (any::<i32>(), 0i32..1000, any::<i16>()),
    ) {
        for kind in [
            PieceKind::ConfigSnapshot,
            PieceKind::SchemaSnapshot,
            PieceKind::TsFile,
            PieceKind::TsFileWithMods,
        ] {
            let piece = FilePiece { kind, file_name: &file_name, offset, data: &data };
            check(Request::FilePiece(piece));
        }
        for origin_type in RequestType::ALL.iter().copied() {
            let slice = Slice {
                order_id,
                origin_type,
                origin_body_bytes: order_id,
                body: &data,
                index,
                count: index + 1,
            };
            if origin_type != RequestType::TransferSlice {
                check(Request::Slice(slice));
            }
        }
        check(Request::ConfigPlan(OpaquePlan { code, rest: &data }));
        if ![13, 14, 15, 44, 2000, 2001, 2002, 2003].contains(&code) {
            check(Request::Plan(Plan::Opaque(OpaquePlan { code, rest: &data })));
        }
    }

    #[test]
    fn tablets_in_both_forms(tablet in tablet(), database in option::of(text())) {
        for form in [TabletForm::Plain, TabletForm::Categories] {
            for request_type in [RequestType::TransferTabletRaw, RequestType::TransferTabletRawV2] {
                let v2 = request_type == RequestType::TransferTabletRawV2;
                let payload = payload_of(request_type, |writer| {
                    encode_tablet(&tablet, form, writer);
                    if v2 {
                        writer.nullable_str(database.as_deref());
                    }
                });
                support::check_payload(&payload);
                let decoded = Payload::decode(&payload).unwrap();
                prop_assert_eq!(decoded.slack, b"");
                let found = match decoded.request {
                    Request::Tablet(found) => found,
                    Request::TabletV2(found) => {
                        prop_assert_eq!(found.database, database.as_deref());
                        found.inner
                    }
                    other => panic!("{other:?}"),
                };
                prop_assert_eq!(found.to_model(), in_form(&tablet, form));
            }
        }
    }

    #[test]
    fn compressed_requests(
        tablet in tablet(),
        by in vec(prop::sample::select(PipeCompression::ALL.to_vec()), 0..4),
    ) {
        let inner = payload_of(RequestType::TransferTabletRaw, |writer| {
            encode_tablet(&tablet, TabletForm::Plain, writer);
        });
        let mut payload = Vec::new();
        encode_compressed(&inner, &by, &mut payload).unwrap();
        support::check_payload(&payload);
        let Request::Compressed(found) = Payload::decode(&payload).unwrap().request else {
            panic!("expected a compressed request");
        };
        prop_assert_eq!(found.decompress(1 << 20), Ok(inner));
        let mut twice = Vec::new();
        encode_compressed(&payload, &by, &mut twice).unwrap();
        let Request::Compressed(found) = Payload::decode(&twice).unwrap().request else {
            panic!("expected a compressed request");
        };
        let nested = found.decompress(1 << 20).unwrap_err().to_string();
        prop_assert!(nested.contains("no further request"), "{}", nested);
    }

    #[test]
    fn deletes_by_every_kind_of_path(
        names in vec(text(), 1..6),
        tags in pairs(),
        (start_time, end_time) in any::<(i64, i64)>(),
        (aligned, has_schema) in (option::of(any::<bool>()), any::<bool>()),
    ) {
        let nodes: Vec<&str> = names.iter().map(String::as_str).collect();
        let texts = [None, Some(nodes[0]), nodes.get(1).copied()];
        let schema = || Schema {
            name: nodes[0],
            data_type: DataType::Date,
            encoding: 200,
            compressor: 7,
            properties: as_pairs(&tags),
        };
        let vector = VectorSchema {
            name: nodes[0],
            measurements: nodes.iter().map(|node| (*node, 3)).collect::<Vec<_>>().into(),
            types_and_encodings: &[5; 10][..2 * nodes.len()],
            compressor: 1,
        };
        let schemas = vec![PathSchema::Measurement(schema()), PathSchema::Vector(vector)];
        let kinds = vec![
            PathKind::Aligned {
                nodes: nodes.clone().into(),
                measurements: nodes.clone().into(),
                schemas: has_schema.then(|| schemas.into()),
            },
            PathKind::Measurement {
                nodes: nodes.clone().into(),
                schema: has_schema.then(|| PathSchema::Measurement(schema())),
                tags: has_schema.then(|| as_pairs(&tags)),
                aligned,
                alias: has_schema.then_some("alias"),
            },
            PathKind::Partial { nodes: nodes.clone().into() },
            PathKind::Plain,
        ];
        let paths: Vec<_> = kinds.into_iter().map(|kind| Path { texts, kind }).collect();
        let plan_node_id = nodes[0];
        let paths = paths.into();
        check(Request::Plan(Plan::Delete(DeleteData { paths, start_time, end_time, plan_node_id })));
    }

    #[test]
    fn deletes_from_tables(
        predicates in vec(predicate(), 1..4),
        (table, database) in (option::of(text()), option::of(text())),
        columns in vec(option::of(text()), 0..4),
    ) {
        let payload = payload_of(RequestType::TransferPlanNode, |writer| {
            writer.i16(2003);
            writer.var(predicates.len() as i32 + 1);
            for predicate in &predicates {
                writer.u8(0);
                writer.i64(i64::MIN);
                writer.i64(i64::MAX);
                writer.vstr(table.as_deref());
                writer.bytes(predicate);
                writer.var(columns.len() as i32);
                columns.iter().for_each(|column| writer.vstr(column.as_deref()));
            }
            writer.u8(1);
            writer.i64(1);
            writer.i64(5);
            writer.vstr(Some("root.t.**"));
            writer.vstr(database.as_deref());
            writer.str("id");
            writer.i32(0);
        });
        support::check_payload(&payload);
        let decoded = Payload::decode(&payload).unwrap();
        prop_assert_eq!(decoded.slack, b"");
        let Request::Plan(Plan::RelationalDelete(delete)) = decoded.request else {
            panic!("expected a delete");
        };
        prop_assert_eq!(delete.database, database.as_deref());
        prop_assert_eq!(delete.entries.len(), predicates.len() + 1);
    }

    #[test]
    fn inserts_and_batches(seed in any::<u64>(), tablets in vec(tablet(), 0..3)) {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut devices = Vec::new();
        let plan = insert(&mut random, Syntax::Plan, &mut devices);
        let with_slack = |mut payload: Vec<u8>, slack: usize| {
            payload.resize(payload.len() + slack, 0);
            payload
        };
        let payload = payload_of(RequestType::TransferTabletInsertNode, |w| w.bytes(&plan));
        check_insert(&with_slack(payload, random.usize(..9)), &devices);
        let payload = payload_of(RequestType::TransferTabletInsertNodeV2, |writer| {
            writer.bytes(&plan);
            writer.nullable_str(random.bool().then_some("db"));
        });
        check_insert(&payload, &devices);
        let mut logged = Vec::new();
        let entry = insert(&mut random, Syntax::Wal, &mut logged);
        check_insert(&payload_of(RequestType::TransferTabletBinary, |w| w.bytes(&entry)), &logged);
        let payload = payload_of(RequestType::TransferTabletBinaryV2, |writer| {
            writer.bin(&entry);
            writer.nullable_str(None);
        });
        check_insert(&payload, &logged);

        for request_type in [RequestType::TransferTabletBatch, RequestType::TransferTabletBatchV2] {
            let v2 = request_type == RequestType::TransferTabletBatchV2;
            let mut database = |writer: &mut Writer<'_>| {
                if v2 {
                    writer.nullable_str(random.bool().then_some("db"));
                }
            };
            let form = if v2 { TabletForm::Categories } else { TabletForm::Plain };
            let payload = payload_of(request_type, |writer| {
                writer.i32(1);
                writer.bin(&entry);
                database(writer);
                writer.i32(2);
                for _ in 0..2 {
                    writer.bytes(&plan);
                    database(writer);
                }
                writer.i32(tablets.len() as i32);
                for tablet in &tablets {
                    encode_tablet(tablet, form, writer);
                    database(writer);
                }
            });
            let own = tablets.iter().map(|tablet| tablet.device.clone());
            let all = logged.iter().chain(&devices).chain(&devices).cloned().chain(own);
            check_insert(&payload, &all.collect::<Vec<_>>());
        }
    }
}

fn check_insert(payload: &[u8], devices: &[String]) {
    support::check_payload(payload);
    let decoded = Payload::decode(payload).unwrap();
    assert!(decoded.slack.len() < 9);
    let mut found = Vec::new();
    decoded.request.for_each_name(&mut |name| found.push(name.to_owned()));
    assert_eq!(found, devices);
}

#[derive(Clone, Copy, PartialEq)]
enum Syntax {
    Plan,
    Wal,
}

/// Bytes of a made-up insert node, written straight from the description of the wire.
fn insert(random: &mut fastrand::Rng, syntax: Syntax, devices: &mut Vec<String>) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut writer = Writer::new(&mut bytes);
    let code = random.choice([13, 14, 15, 2000, 2001, 2002]).unwrap();
    let table = code >= 2000;
    if syntax == Syntax::Wal {
        writer.i8(random.i8(..));
        writer.i64(random.i64(..));
    }
    writer.i16(code);
    if syntax == Syntax::Wal {
        writer.i64(random.i64(..));
    }
    match code % 1000 {
        0 | 13 => tablet_node(random, syntax, table, &mut writer, devices),
        1 | 14 => row(random, syntax, table, &mut writer, devices),
        _ => {
            let n = random.i32(0..5);
            writer.i32(n);
            (0..n).for_each(|_| row(random, syntax, table, &mut writer, devices));
            if syntax == Syntax::Plan {
                (0..n).for_each(|_| writer.i32(random.i32(..)));
            }
        }
    }
    if syntax == Syntax::Plan {
        writer.str("");
        writer.i32(0);
    }
    bytes
}

/// Writes a device, a count and that many names or schemas; returns the types.
fn header(
    random: &mut fastrand::Rng,
    syntax: Syntax,
    writer: &mut Writer<'_>,
    devices: &mut Vec<String>,
) -> Vec<DataType> {
    let device = format!("root.d{}", random.u8(..));
    writer.str(&device);
    devices.push(device);
    let types: Vec<DataType> =
        (0..random.usize(..5)).map(|_| random.choice(DataType::ALL).unwrap()).collect();
    writer.i32(types.len() as i32);
    let schemas = syntax == Syntax::Wal || random.bool();
    if syntax == Syntax::Plan {
        writer.bool(schemas);
    }
    for data_type in &types {
        writer.str("s");
        if schemas {
            writer.u8(data_type.code());
            writer.u8(random.u8(..));
            writer.u8(random.u8(..));
            writer.i32(1);
            writer.str("key");
            writer.str("value");
        }
    }
    types
}

fn plain_value(random: &mut fastrand::Rng, data_type: DataType, writer: &mut Writer<'_>) {
    match data_type.fixed_bytes() {
        Some(1) => writer.bool(random.bool()),
        Some(width) => (0..width).for_each(|_| writer.u8(random.u8(..))),
        None => writer.bin(&[0xff; 7][..random.usize(..7)]),
    }
}

fn row(
    random: &mut fastrand::Rng,
    syntax: Syntax,
    table: bool,
    writer: &mut Writer<'_>,
    devices: &mut Vec<String>,
) {
    writer.i64(random.i64(..));
    let types = header(random, syntax, writer, devices);
    for data_type in &types {
        match random.u8(..6) {
            0 => {
                writer.i8(-1);
                writer.str("1.5");
            }
            1 => writer.i8(-2),
            2 => {
                writer.i8(-3);
                writer.u8(data_type.code());
            }
            _ => {
                writer.u8(data_type.code());
                plain_value(random, *data_type, writer);
            }
        }
    }
    if syntax == Syntax::Plan {
        writer.bool(random.bool());
    }
    writer.bool(random.bool());
    if table {
        types.iter().for_each(|_| writer.u8(random.u8(..4)));
    }
}

fn tablet_node(
    random: &mut fastrand::Rng,
    syntax: Syntax,
    table: bool,
    writer: &mut Writer<'_>,
    devices: &mut Vec<String>,
) {
    let types = header(random, syntax, writer, devices);
    if syntax == Syntax::Plan {
        types.iter().for_each(|data_type| writer.u8(data_type.code()));
    }
    let rows = random.usize(..20);
    writer.i32(rows as i32);
    (0..rows).for_each(|_| writer.i64(random.i64(..)));
    let bitmaps = random.bool();
    writer.bool(bitmaps);
    for _ in types.iter().filter(|_| bitmaps) {
        let has = random.bool();
        writer.bool(has);
        if has {
            writer.bytes(&[0x5a; 3][..rows / 8 + 1]);
        }
    }
    for data_type in &types {
        (0..rows).for_each(|_| plain_value(random, *data_type, writer));
    }
    writer.bool(random.bool());
    if table {
        types.iter().for_each(|_| writer.u8(random.u8(..4)));
    }
}
