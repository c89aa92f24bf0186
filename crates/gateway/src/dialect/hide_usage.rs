//! Takes the chunk of usage out of a chat stream again, where the caller did not ask for it: its client may look for an answer in
//! every chunk. All other bytes pass as they are, comments that keep the connection alive among them.

use super::sse::EVENT_LIMIT;

/// Passes a chat stream but for chunks that hold usage alone.
#[derive(Debug, Default)]
pub struct UsageHider {
    /// The beginning of an event whose end has not come.
    partial: Vec<u8>,
}

impl UsageHider {
    /// Takes bytes of the provider and appends what the caller gets to `out`: events as soon as they are whole.
    pub fn feed(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        self.partial.extend_from_slice(bytes);
        let mut done = 0;
        while let Some(length) = event_length(self.partial.get(done..).unwrap_or_default()) {
            let event = self.partial.get(done..done + length).unwrap_or_default();
            if !is_usage_alone(event) {
                out.extend_from_slice(event);
            }
            done += length;
        }
        self.partial.drain(..done);
        if self.partial.len() > EVENT_LIMIT {
            // Nothing so large is a chunk of usage.
            out.append(&mut self.partial);
        }
    }

    /// The stream ended: what is left is the caller's, whole or not.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        if is_usage_alone(&self.partial) {
            self.partial.clear();
        }
        out.append(&mut self.partial);
    }
}

/// The bytes of the first event with the blank line at its end.
fn event_length(bytes: &[u8]) -> Option<usize> {
    memchr::memchr_iter(b'\n', bytes).find_map(|end| match bytes.get(end + 1..)? {
        [b'\n', ..] => Some(end + 2),
        [b'\r', b'\n', ..] => Some(end + 3),
        _ => None,
    })
}

fn is_usage_alone(event: &[u8]) -> bool {
    let has = |needle: &[u8]| memchr::memmem::find(event, needle).is_some();
    (has(b"\"choices\":[]") || has(b"\"choices\": []")) && (has(b"\"usage\":{") || has(b"\"usage\": {"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_chunk_of_usage_alone_is_taken_out_wherever_the_stream_is_cut() {
        let kept = [
            ": alive\n\n",
            "data: {\"choices\":[{\"delta\":{\"content\":\"\\\"choices\\\":[]\"}}],\"usage\":null}\n\n",
            "data: {\"choices\":[],\"prompt_filter_results\":[]}\r\n\r\n",
            "data: [DONE]\n\n",
            "data: cut",
        ];
        let usage = "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":1}}\n\n";
        let [alive, text, filter, done, cut] = kept;
        let stream = [alive, text, filter, usage, done, cut].concat();
        for at in 0..stream.len() {
            let (mut hider, mut out) = (UsageHider::default(), Vec::new());
            hider.feed(&stream.as_bytes()[..at], &mut out);
            hider.feed(&stream.as_bytes()[at..], &mut out);
            hider.finish(&mut out);
            assert_eq!(String::from_utf8(out).unwrap(), kept.concat(), "cut at {at}");
        }
    }

    #[test]
    fn an_event_is_passed_as_soon_as_it_is_whole() {
        let (mut hider, mut out) = (UsageHider::default(), Vec::new());
        hider.feed(b"data: {\"choices\":[{}]}\n\ndata: {", &mut out);
        assert_eq!(out, b"data: {\"choices\":[{}]}\n\n");
    }
}
