//! Payloads that the classes of IoTDB 2.0.1-beta wrote, and examples from the protocol's description.

mod support;

use std::collections::BTreeSet;
use std::fs;

use support::check_payload;
use support::file_name;
use support::from_hex;
use support::manifest_path;
use support::sorted_dir;
use tidegate_wire::Payload;
use tidegate_wire::Request;
use tidegate_wire::RequestType;
use tidegate_wire::Wrap;
use tidegate_wire::frame::encode_frame;

/// Reads `<type>-<case>.hex`: one line of hex, the whole payload.
fn goldens() -> Vec<(String, Vec<u8>)> {
    let files = sorted_dir(&manifest_path("tests/golden"));
    let files = files.into_iter().filter(|path| path.extension().is_some_and(|it| it == "hex"));
    let found: Vec<_> = files
        .map(|path| (file_name(&path), from_hex(&fs::read_to_string(&path).unwrap())))
        .collect();
    assert!(!found.is_empty(), "tests/golden is empty");
    found
}

#[test]
fn golden_bytes_of_iotdb_2_0_1_beta_decode_and_reencode() {
    let mut types = BTreeSet::new();
    for (name, payload) in goldens() {
        println!("{name}");
        check_payload(&payload);
        let decoded = Payload::decode(&payload).unwrap();
        let code: i16 = name.split('-').next().unwrap().parse().unwrap();
        assert_eq!(decoded.request.request_type().code(), code, "{name}");
        types.insert(code);
        assert!(
            decoded.slack.iter().all(|byte| *byte == 0),
            "{name}: not understood to the end: {}",
            support::to_hex(decoded.slack)
        );
        assert!(
            decoded.slack.is_empty() || name.contains("slack"),
            "{name}: {} bytes left",
            decoded.slack.len()
        );
    }
    let known: BTreeSet<i16> = RequestType::ALL.iter().map(|it| it.code()).collect();
    assert_eq!(types, known, "every type has a golden payload");
}

#[test]
fn every_prefix_of_a_golden_payload_is_an_error_or_comes_back_as_it_was() {
    for (name, payload) in goldens() {
        for end in 0..payload.len() {
            if let Ok(decoded) = Payload::decode(&payload[..end]) {
                let mut encoded = Vec::new();
                decoded.encode(&mut encoded).unwrap();
                assert_eq!(encoded, payload[..end], "{name} cut at {end}");
            }
        }
    }
}

#[test]
fn a_compressed_request_says_the_same_as_the_plain_one() {
    let goldens = goldens();
    let plain = &goldens.iter().find(|(name, _)| name == "3-inside-compressed.hex").unwrap().1;
    let mut n_same = 0;
    for (name, payload) in &goldens {
        if let Request::Compressed(compressed) = Payload::decode(payload).unwrap().request {
            let inner = compressed.decompress(1 << 20).unwrap();
            n_same += usize::from(inner == *plain);
            let largest = compressed.stages.iter().map(|stage| stage.declared_bytes).max().unwrap();
            assert!(compressed.decompress(largest - 1).is_err(), "{name}: the cap is not kept");
        }
    }
    assert!(n_same >= 6, "five compressors and a chain, found {n_same}");
}

#[test]
fn the_worked_examples_of_the_protocol_are_what_our_encoders_write() {
    use tidegate_model::Precision;
    use tidegate_wire::PieceHead;
    use tidegate_wire::piece::PieceKind;
    use tidegate_wire::request::FileSeal;
    use tidegate_wire::request::FileSealMany;
    use tidegate_wire::request::HandshakeV1;
    use tidegate_wire::request::HandshakeV2;
    use tidegate_wire::request::database_key;

    let frame = |request: Request<'_>| {
        let mut payload = Vec::new();
        Payload::from(request).encode(&mut payload).unwrap();
        let mut frame = Vec::new();
        encode_frame(&payload, Wrap::None, &mut frame).unwrap();
        frame
    };
    let payload = |request: Request<'_>| frame(request)[16..].to_vec();

    assert_eq!(
        frame(Request::HandshakeV1(HandshakeV1::new(Precision::Ms))),
        from_hex("00000011 00000011 000000004ddeea5b 01 0001 000000026d73")
    );
    assert_eq!(
        frame(Request::HandshakeV2(HandshakeV2::new(&[
            ("clusterID", "c1"),
            ("timestampPrecision", "ms")
        ]))),
        from_hex(
            "0000003e 0000003e 00000000ee4facb5 01 0033 00000002
             00000009 636c75737465724944 00000002 6331
             00000012 74696d657374616d70507265636973696f6e 00000002 6d73"
        )
    );
    let head = PieceHead {
        kind: PieceKind::TsFile,
        file_name: "1-1-0-0.tsfile",
        offset: 0,
        data_bytes: 4,
    };
    let mut piece = Vec::new();
    head.encode_frame_start(crc32fast::hash(b"TsFi"), Wrap::None, &mut piece).unwrap();
    piece.extend_from_slice(b"TsFi");
    assert_eq!(
        piece,
        from_hex(
            "0000002d 0000002d 00000000bb49cce9 01 0004 0000000e 312d312d302d302e747366696c65
             0000000000000000 00000004 54734669"
        )
    );
    assert_eq!(
        frame(Request::FileSeal(FileSeal { file_name: "1-1-0-0.tsfile", file_bytes: 4 })),
        from_hex(
            "00000025 00000025 000000001459d355 01 0005 0000000e 312d312d302d302e747366696c65
             0000000000000004"
        )
    );
    assert_eq!(
        payload(Request::FileSealMany(FileSealMany::with_mods_1_3(
            ("a.tsfile.mods", 10),
            ("a.tsfile", 20)
        ))),
        from_hex(
            "01 0009 00000002 0000000d 612e747366696c652e6d6f6473 00000008 612e747366696c65
             00000002 000000000000000a 0000000000000014 00000000"
        )
    );
    assert_eq!(
        payload(Request::FileSealMany(FileSealMany::ts_file_2_0(
            None,
            ("a.tsfile", 20),
            &database_key("a.tsfile"),
            None
        ))),
        from_hex(
            "01 0009 00000001 00000008 612e747366696c65 00000001 0000000000000014
             00000001 00000016 44415441424153455f4e414d455f612e747366696c65 ffffffff"
        )
    );
}

#[test]
fn inserts_of_1_2_2_in_every_form_decode_and_reencode() {
    let tablet = "01 0003 0000000a726f6f742e73672e6431 00000002 01 00000001
        01 000000027331 02 00 01 00000000 01 0000000000000001 0000000000000002";
    for case in [
        format!("{tablet} 00 0101 000000000000000a 0000000000000014 00"),
        format!("{tablet} 01 01 00000002 00000001 02 0101 000000000000000a 8000000000000000 00"),
        "01 0002 000e 0000000000000001 0000000a726f6f742e73672e6431 00000001 01
         000000027331 02 00 01 00000000 02 000000000000000a 00 00 00000000 00000000"
            .to_owned(),
        "01 0002 000d 0000000a726f6f742e73672e6431 00000001 01 000000027331 02 00 01 00000000
         02 00000002 0000000000000001 0000000000000002 00 000000000000000a 0000000000000014
         00 00000000 00000000"
            .to_owned(),
        "01 0007 04 0000000000000007 000e 000000000000002a 0000000000000001
         0000000a726f6f742e73672e6431 00000001 000000027331 02 00 01 00000000
         02 000000000000000a 00"
            .to_owned(),
        "01 0190 00000001 0004 00000009 00000005 68656c6c6f 00000000 00000002".to_owned(),
        "01 0064 07d3 02 00 0000000000000001 0000000000000005 047431 00 00 06646231 00000000 00000000"
            .to_owned(),
    ] {
        let payload = from_hex(&case);
        check_payload(&payload);
        assert_eq!(Payload::decode(&payload).unwrap().slack, b"", "{case}");
    }
}

#[test]
fn a_measurement_path_of_ours_is_what_iotdb_writes() {
    use tidegate_codec::Writer;
    use tidegate_wire::request::Element;
    use tidegate_wire::request::Path;
    let mut bytes = Vec::new();
    let nodes = vec!["root", "t", "d2", "s1"];
    Path::measurement("root.t.d2.s1", nodes).encode(&mut Writer::new(&mut bytes), ());
    assert_eq!(
        bytes,
        from_hex(
            "00 00 00 01 0000000c726f6f742e742e64322e7331 00000004
             00000004726f6f74 0000000174 000000026432 000000027331 00 00 00 00000000"
        )
    );
}
