//! Damaged frames, hostile lengths, foreign protocols.

mod support;

use support::Frame;
use support::decode_cut;
use support::from_hex;
use tidegate_wire::Foreign;
use tidegate_wire::FrameDecoder;
use tidegate_wire::FrameError;
use tidegate_wire::FrameEvent;
use tidegate_wire::FrameLimits;
use tidegate_wire::Payload;
use tidegate_wire::PieceHead;
use tidegate_wire::Request;
use tidegate_wire::RequestType;
use tidegate_wire::Wrap;
use tidegate_wire::frame::E_LANGUAGE_PREFIX;
use tidegate_wire::frame::E_LANGUAGE_SUFFIX;
use tidegate_wire::frame::PAYLOAD_BYTES_MAX;
use tidegate_wire::frame::encode_frame;
use tidegate_wire::frame::encode_header;
use tidegate_wire::frame::frame_bytes;
use tidegate_wire::piece::PIECE_HEAD_BYTES_MAX;
use tidegate_wire::piece::PieceKind;

const LIMITS: FrameLimits = FrameLimits { max_payload_bytes: 1000 };
const HANDSHAKE: &[u8] = b"\x01\0\x01\0\0\0\x02ms";

fn frame(payload: &[u8], wrap: Wrap) -> Vec<u8> {
    let mut out = Vec::new();
    encode_frame(payload, wrap, &mut out).unwrap();
    assert_eq!(out.len() as u64, frame_bytes(payload.len() as u64, wrap));
    out
}

/// The error of a stream that must have one, whatever the cut.
fn error_of(stream: &[u8]) -> FrameError {
    let (frames, end) = decode_cut(stream, &[], LIMITS);
    let error = end.unwrap_err();
    let every: Vec<usize> = (0..stream.len()).collect();
    assert_eq!(decode_cut(stream, &every, LIMITS), (frames, Err(error)));
    assert!(!error.to_string().is_empty());
    error
}

#[test]
fn wrapped_and_plain_frames_may_follow_each_other() {
    let wraps = [Wrap::None, Wrap::ELanguage, Wrap::ELanguage, Wrap::None];
    let stream: Vec<u8> = wraps.iter().flat_map(|wrap| frame(HANDSHAKE, *wrap)).collect();
    let want: Vec<Frame> = wraps
        .iter()
        .map(|wrap| Frame { wrapped: *wrap == Wrap::ELanguage, payload: HANDSHAKE.to_vec() })
        .collect();
    for cut in 0..=stream.len() {
        assert_eq!(decode_cut(&stream, &[cut], LIMITS), (want.clone(), Ok(true)), "{cut}");
    }
    for end in 1..stream.len() {
        let between = decode_cut(&stream[..end], &[], LIMITS).1.unwrap();
        let ends: Vec<usize> = wraps
            .iter()
            .scan(0, |at, wrap| {
                *at += frame_bytes(HANDSHAKE.len() as u64, *wrap) as usize;
                Some(*at)
            })
            .collect();
        assert_eq!(between, ends.contains(&end), "cut short at {end}");
    }
}

#[test]
fn a_flip_of_any_bit_of_a_frame_is_found() {
    for wrap in [Wrap::None, Wrap::ELanguage] {
        let good = frame(HANDSHAKE, wrap);
        for bit in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            let error = error_of(&bad);
            let header = wrap.prefix().len();
            match bit / 8 {
                at if at < 8 && wrap == Wrap::ELanguage => assert!(
                    matches!(error, FrameError::UnequalLengths { .. } | FrameError::NotAirGap(_)),
                    "{at}: {error}"
                ),
                at if at < header => {
                    assert_eq!(error, FrameError::Prefix { matched_bytes: at });
                }
                at if at < header + 8 => {
                    assert!(matches!(error, FrameError::UnequalLengths { .. }), "{at}: {error}");
                }
                at if at < header + 16 + HANDSHAKE.len() => {
                    assert!(matches!(error, FrameError::Checksum { .. }), "{at}: {error}");
                }
                at => {
                    let matched_bytes = at - header - 16 - HANDSHAKE.len();
                    assert_eq!(error, FrameError::Suffix { matched_bytes });
                }
            }
        }
    }
}

#[test]
fn hostile_lengths_are_refused_before_the_payload() {
    for length in [0, 4, 7, 8, 10, -1, i32::MIN, i32::MAX, 1009] {
        let stream = [length.to_be_bytes(), length.to_be_bytes()].concat();
        for prefix in [&[][..], E_LANGUAGE_PREFIX] {
            let error = error_of(&[prefix, &stream].concat());
            match length {
                ..11 => assert_eq!(error, FrameError::TooShort { length }),
                _ => assert_eq!(
                    error,
                    FrameError::TooLarge {
                        payload_bytes: length as u32 - 8,
                        max_payload_bytes: 1000
                    }
                ),
            }
        }
    }
    for at_cap in [999, 1000] {
        let payload = vec![1; at_cap];
        assert_eq!(decode_cut(&frame(&payload, Wrap::None), &[], LIMITS).0.len(), 1);
    }
    let pair = [17i32.to_be_bytes(), 18i32.to_be_bytes()].concat();
    assert_eq!(error_of(&pair), FrameError::UnequalLengths { first: 17, second: 18 });
    // A key cannot lift the cap over what the detection of the wrap rests on.
    let mut decoder = FrameDecoder::new(FrameLimits { max_payload_bytes: u32::MAX });
    let header = encode_header(0, PAYLOAD_BYTES_MAX + 1);
    assert!(matches!(decoder.next(&mut &header[..]), Err(FrameError::TooLarge { .. })));
    assert!(
        encode_frame(&vec![0; PAYLOAD_BYTES_MAX as usize + 1], Wrap::None, &mut vec![]).is_err()
    );
}

#[test]
fn a_checksum_that_is_not_zero_extended_is_no_checksum() {
    let mut bad = frame(HANDSHAKE, Wrap::None);
    bad[8..12].copy_from_slice(&[0xff; 4]);
    let crc = crc32fast::hash(HANDSHAKE);
    let want = 0xffff_ffff << 32 | u64::from(crc);
    assert_eq!(error_of(&bad), FrameError::Checksum { want, got: crc });
}

#[test]
fn a_prefix_inside_a_wrap_ends_the_connection_at_once() {
    let nested = [&E_LANGUAGE_PREFIX[..], &frame(HANDSHAKE, Wrap::ELanguage)].concat();
    assert_eq!(error_of(&nested), FrameError::NestedPrefix);
    let mut decoder = FrameDecoder::new(LIMITS);
    let million = E_LANGUAGE_PREFIX.repeat(1_000_000);
    let mut input = &million[..];
    assert_eq!(decoder.next(&mut input), Err(FrameError::NestedPrefix));
    assert_eq!(million.len() - input.len(), 63 + 8);
}

#[test]
fn a_suffix_is_compared_whole() {
    for cut in 0..E_LANGUAGE_SUFFIX.len() {
        let whole = frame(HANDSHAKE, Wrap::ELanguage);
        let end = whole.len() - E_LANGUAGE_SUFFIX.len() + cut;
        let stream = [&whole[..end], b"?"].concat();
        assert_eq!(error_of(&stream), FrameError::Suffix { matched_bytes: cut });
    }
}

#[test]
fn foreign_protocols_are_named_and_not_answered() {
    let cases: [(&[u8], Foreign); 16] = [
        (b"GET / HTTP/1.1\r\n", Foreign::Http),
        (b"POST /rest/v1/query HTTP/1.1\r\n", Foreign::Http),
        (b"HEAD / HTTP/1.0\r\n", Foreign::Http),
        (b"OPTIONS / HTTP/1.0\r\n", Foreign::Http),
        (b"CONNECT a:1 HTTP/1.1\r\n", Foreign::Http),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Foreign::Http),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", Foreign::Tls),
        (b"SSH-2.0-OpenSSH_9.6\r\n", Foreign::Ssh),
        (b"\x03\x00\x00\x13\x0e\xe0\0\0\0\0\0\x01\0\x08", Foreign::Rdp),
        (b"PROXY TCP4 10.0.0.1 10.0.0.2 1 2\r\n", Foreign::ProxyProtocol),
        (b"\r\n\r\n\0\r\nQUIT\n", Foreign::ProxyProtocol),
        // TFramedTransport, binary: what an IoTDB session and a pipe with the thrift sink say.
        (b"\0\0\0\x30\x80\x01\0\x01\0\0\0\x0bopenSession", Foreign::Thrift),
        (b"\x80\x01\0\x01\0\0\0\x0bopenSession", Foreign::Thrift),
        (b"\0\0\0\x30\x82\x21\x01\x0bopenSession", Foreign::Thrift),
        (b"EHLO example.org\r\n", Foreign::Text),
        (b"<html><body></body></html>", Foreign::Text),
    ];
    for (stream, want) in cases {
        let error = error_of(stream);
        assert_eq!(error, FrameError::NotAirGap(want), "{}", stream.escape_ascii());
        assert!(error.is_foreign());
        // Once a frame was right, the peer is none of these, and the position is lost.
        let later = error_of(&[&frame(HANDSHAKE, Wrap::None), stream].concat());
        assert!(!later.is_foreign(), "{}", stream.escape_ascii());
    }
    let mut random = fastrand::Rng::with_seed(3);
    for _ in 0..10_000 {
        let garbage: Vec<u8> = std::iter::repeat_with(|| random.u8(..)).take(40).collect();
        assert!(decode_cut(&garbage, &[], LIMITS).1.is_err(), "{}", garbage.escape_ascii());
    }
}

#[test]
fn a_large_payload_is_handed_on_as_it_comes_and_never_held() {
    let data = vec![7u8; 64 << 20];
    let head = PieceHead {
        kind: PieceKind::TsFileWithMods,
        file_name: "1-1-0-0.tsfile",
        offset: 1 << 40,
        data_bytes: data.len() as u32,
    };
    let mut start = Vec::new();
    let wrap = Wrap::ELanguage;
    head.encode_frame_start(crc32fast::hash(&data), wrap, &mut start).unwrap();
    let mut decoder = FrameDecoder::new(FrameLimits::default());
    let (mut n_parts, mut n_bytes, mut ended) = (0, 0, false);
    for part in [&start[..]].into_iter().chain(data.chunks(1 << 16)).chain([wrap.suffix()]) {
        let mut part = part;
        while let Some(event) = decoder.next(&mut part).unwrap() {
            match event {
                FrameEvent::Begin { payload_bytes, wrapped } => {
                    assert!(head.fills(payload_bytes) && wrapped);
                }
                FrameEvent::Payload(bytes) => {
                    if n_parts == 0 {
                        let (found, used) = PieceHead::decode(bytes).unwrap().unwrap();
                        assert_eq!((found, used), (head, bytes.len()));
                    }
                    n_parts += 1;
                    n_bytes += bytes.len() as u64;
                }
                FrameEvent::End => ended = true,
            }
            assert!(decoder.buffered_bytes() < 8);
        }
    }
    assert!(ended && n_parts > 1000);
    assert_eq!(n_bytes, head.payload_bytes());
}

#[test]
fn a_piece_from_its_parts_is_the_piece_encoded_whole() {
    use tidegate_wire::request::FilePiece;
    for (kind, offset, data) in [
        (PieceKind::TsFile, 0, &b""[..]),
        (PieceKind::TsFileWithMods, 1, b"TsFile"),
        (PieceKind::SchemaSnapshot, i64::MAX, &[0; 1000]),
        (PieceKind::ConfigSnapshot, 7, b"\xff"),
    ] {
        let file_name = "名-1-0-0.tsfile";
        let piece = Request::FilePiece(FilePiece { kind, file_name, offset, data });
        let mut payload = Vec::new();
        Payload::from(piece).encode(&mut payload).unwrap();
        let head = PieceHead { kind, file_name, offset, data_bytes: data.len() as u32 };
        for wrap in [Wrap::None, Wrap::ELanguage] {
            let mut parts = Vec::new();
            head.encode_frame_start(crc32fast::hash(data), wrap, &mut parts).unwrap();
            parts.extend_from_slice(data);
            parts.extend_from_slice(wrap.suffix());
            assert_eq!(parts, frame(&payload, wrap));
        }
        let used = payload.len() - data.len();
        for end in 0..payload.len() {
            let found = PieceHead::decode(&payload[..end]).unwrap();
            assert_eq!(found, (end >= used).then_some((head, used)), "{end}");
        }
    }
}

#[test]
fn a_piece_head_that_can_never_be_right_is_refused_without_waiting() {
    let refused = |hex: &str| PieceHead::decode(&from_hex(hex)).unwrap_err().to_string();
    assert!(refused("02").contains("version"));
    assert!(refused("01 0063").contains("known type"));
    assert!(refused("01 0005").contains("type of a file piece"));
    assert!(refused("01 0004 ffffffff").contains("file name"));
    assert!(refused("01 0004 00001001").contains("file name"));
    assert!(refused("01 0004 00000001 ff").contains("UTF-8"));
    assert!(refused("01 0004 00000001 61 8000000000000000").contains("offset"));
    assert!(refused("01 0004 00000001 61 0000000000000000 80000000").contains("piece"));
    let longest = [&from_hex("01 0004 00001000")[..], &[b'a'; 4096], &[0; 12]].concat();
    assert_eq!(longest.len(), PIECE_HEAD_BYTES_MAX);
    assert!(PieceHead::decode(&longest).unwrap().is_some());
}

#[test]
fn every_code_stands_for_one_type_and_others_are_refused_by_number() {
    for code in i16::MIN..=i16::MAX {
        match RequestType::from_code(code) {
            Some(found) => assert_eq!(found.code(), code),
            None => {
                let payload = [&[1][..], &code.to_be_bytes(), &[0; 20]].concat();
                let error = Payload::decode(&payload).unwrap_err();
                assert_eq!(error, tidegate_wire::RequestError::UnknownType(code));
            }
        }
    }
    assert_eq!(RequestType::ALL.len(), 24);
    assert!(Payload::decode(&[0, 0, 1]).is_err());
}
