//! Any cut of any stream gives the same frames and the same error as the whole.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tidegate_wire::FrameDecoder;
use tidegate_wire::FrameError;
use tidegate_wire::FrameEvent;
use tidegate_wire::FrameLimits;

type Frames = Vec<(u32, bool, Vec<u8>)>;

fuzz_target!(|data: &[u8]| {
    // The first byte says how long the parts are, the others are the stream.
    let Some((part_bytes, stream)) = data.split_first() else { return };
    let whole = run(stream, stream.len().max(1));
    assert_eq!(run(stream, usize::from(*part_bytes).max(1)), whole);
    assert_eq!(run(stream, 1), whole);
});

fn run(stream: &[u8], part_bytes: usize) -> (Frames, Option<FrameError>, bool) {
    let mut decoder = FrameDecoder::new(FrameLimits { max_payload_bytes: 1 << 16 });
    let mut frames = Frames::new();
    for part in stream.chunks(part_bytes) {
        let mut part = part;
        loop {
            match decoder.next(&mut part) {
                Ok(None) => break,
                Ok(Some(FrameEvent::Begin { payload_bytes, wrapped })) => {
                    frames.push((payload_bytes, wrapped, Vec::new()));
                }
                Ok(Some(FrameEvent::Payload(bytes))) => {
                    assert!(!bytes.is_empty());
                    frames.last_mut().unwrap().2.extend_from_slice(bytes);
                }
                Ok(Some(FrameEvent::End)) => {
                    let (payload_bytes, _, payload) = frames.last().unwrap();
                    assert_eq!(*payload_bytes as usize, payload.len());
                }
                Err(error) => return (frames, Some(error), false),
            }
        }
        assert!(part.is_empty() && decoder.buffered_bytes() < 8);
    }
    (frames, None, decoder.is_between_frames())
}
