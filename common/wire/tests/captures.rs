//! What real IoTDBs said to each other: decoded completely, encoded to the same bytes, cut anywhere.

mod support;

use std::collections::BTreeSet;

use support::Conversation;
use support::check_payload;
use support::conversations;
use support::decode_cut;
use tidegate_wire::FrameLimits;
use tidegate_wire::Payload;
use tidegate_wire::Reply;
use tidegate_wire::Request;
use tidegate_wire::Wrap;
use tidegate_wire::frame::encode_frame;

#[test]
fn every_capture_decodes_completely_and_encodes_to_the_same_bytes() {
    let mut types = BTreeSet::new();
    let mut n_wrapped = 0;
    for Conversation { name, up, down } in conversations() {
        let (frames, end) = decode_cut(&up, &[], FrameLimits::default());
        assert_eq!(end, Ok(true), "{name}");
        assert_eq!(frames.len(), down.len(), "{name}: one byte back for each frame");
        for byte in &down {
            assert_eq!(Reply::from_byte(*byte), Ok(Reply::Ok), "{name}");
        }
        let mut again = Vec::new();
        for frame in &frames {
            n_wrapped += usize::from(frame.wrapped);
            check_payload(&frame.payload);
            let decoded = Payload::decode(&frame.payload).unwrap();
            types.insert(decoded.request.request_type().code());
            if matches!(decoded.request, Request::Tablet(_) | Request::TabletV2(_)) {
                assert_eq!(decoded.slack, b"", "{name}");
            }
            let mut payload = Vec::new();
            decoded.encode(&mut payload).unwrap();
            let wrap = if frame.wrapped { Wrap::ELanguage } else { Wrap::None };
            encode_frame(&payload, wrap, &mut again).unwrap();
        }
        assert!(again == up, "{name}: the stream came back otherwise");
    }
    assert!(n_wrapped > 3);
    assert_eq!(Vec::from_iter(types), [1, 2, 3, 4, 5, 7, 8, 9, 10, 11, 12, 51]);
}

#[test]
fn any_cut_of_a_small_capture_gives_the_same_frames() {
    let small = conversations().into_iter().filter(|conversation| conversation.up.len() < 5000);
    for Conversation { name, up, .. } in small {
        let whole = decode_cut(&up, &[], FrameLimits::default());
        for cut in 0..=up.len() {
            assert_eq!(decode_cut(&up, &[cut], FrameLimits::default()), whole, "{name} at {cut}");
        }
        let every: Vec<usize> = (0..up.len()).collect();
        assert_eq!(decode_cut(&up, &every, FrameLimits::default()), whole, "{name} bytewise");
    }
}

#[test]
fn random_cuts_of_every_capture_give_the_same_frames() {
    for Conversation { name, up, .. } in conversations() {
        let whole = decode_cut(&up, &[], FrameLimits::default());
        for seed in 0..20 {
            let mut random = fastrand::Rng::with_seed(seed);
            let n_cuts = random.usize(1..200);
            let mut cuts: Vec<usize> =
                std::iter::repeat_with(|| random.usize(..=up.len())).take(n_cuts).collect();
            cuts.sort_unstable();
            let found = decode_cut(&up, &cuts, FrameLimits::default());
            assert!(found == whole, "{name}, seed {seed}");
        }
    }
}

#[test]
fn tablets_of_1_2_are_read_without_categories_and_those_of_2_0_with() {
    use tidegate_wire::request::TabletForm;
    for Conversation { name, up, .. } in conversations() {
        for frame in decode_cut(&up, &[], FrameLimits::default()).0 {
            let decoded = Payload::decode(&frame.payload).unwrap();
            let (tablet, want) = match &decoded.request {
                Request::Tablet(tablet) => (tablet, TabletForm::Plain),
                Request::TabletV2(tablet) => (&tablet.inner, TabletForm::Categories),
                _ => continue,
            };
            assert_eq!(tablet.form, want, "{name}");
            assert!(tablet.device.starts_with("root.t"), "{name}: {}", tablet.device);
            let meaning = tablet.to_model();
            assert_eq!(meaning.times.len(), tablet.rows, "{name}");
            assert!(!meaning.columns.is_empty(), "{name}");
            for column in &meaning.columns {
                assert_eq!(column.values.len(), tablet.rows, "{name}: {}", column.name);
                assert!(column.values.iter().any(Option::is_some), "{name}: {}", column.name);
            }
        }
    }
}
