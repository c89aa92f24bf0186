//! A streamed answer of a provider of responses, read.

use super::{items, stop_of, usage_of};
use crate::dialect::DialectError;
use crate::dialect::error::{ApiError, ErrorKind};
use crate::dialect::json;
use crate::dialect::linear::Linear;
use crate::dialect::model::Block;
use crate::dialect::reply::Stop;
use crate::dialect::sse::Frame;
use crate::dialect::tree::Node;
use crate::dialect::write::Writer;

/// Reads.
#[derive(Debug, Default)]
pub(crate) struct Decoder {
    /// Calls at hand: their number, whether pieces of their input came, whether it is free text.
    calls: Vec<Call>,
    /// Texts and summaries that came in pieces: item and part.
    streamed: Vec<(u64, u64)>,
    refused: bool,
}

#[derive(Debug)]
struct Call {
    key: u64,
    pieces: bool,
    custom: bool,
}

impl Decoder {
    pub(crate) fn read(&mut self, frame: Frame<'_>, linear: &mut Linear) -> Result<(), DialectError> {
        if frame.data.trim_ascii() == b"[DONE]" {
            return Ok(());
        }
        let tree = json::parse(frame.data)?;
        let root = Node::root(&tree);
        let item = root.opt_u64("output_index")?.unwrap_or(0);
        match root.soft_str("type").unwrap_or(frame.event) {
            "response.created" => {
                let response = root.need("response")?;
                linear.start(response.soft_str("id"), response.soft_str("model"));
            }
            "response.output_text.delta" | "response.refusal.delta" => {
                self.refused |= root.soft_str("type") == Some("response.refusal.delta");
                self.saw(item, 0);
                linear.text(root.need_str("delta")?);
            }
            "response.reasoning_summary_text.delta" | "response.reasoning_text.delta" => {
                let part = root.opt_u64("summary_index")?.unwrap_or(0);
                if part > 0 && !self.streamed.contains(&(item, part)) {
                    linear.thinking("\n\n");
                }
                self.saw(item, part);
                linear.thinking(root.need_str("delta")?);
            }
            "response.output_item.added" => self.added(item, &root.need("item")?, linear)?,
            "response.function_call_arguments.delta" | "response.custom_tool_call_input.delta" => {
                self.piece(item, root.need_str("delta")?, linear);
            }
            "response.output_item.done" => self.done(item, &root.need("item")?, linear)?,
            "response.completed" | "response.incomplete" => {
                let response = root.need("response")?;
                if let Some(usage) = response.opt("usage") {
                    linear.add_usage(usage_of(usage.value));
                }
                linear.start(response.soft_str("id"), response.soft_str("model"));
                let stop = stop_of(response.value);
                linear.stop(if self.refused && stop == Stop::EndTurn { Stop::Refusal } else { stop }, None);
                linear.end();
            }
            "response.failed" => {
                let error = root.opt("response").and_then(|response| ApiError::of_body(response.value, 200));
                linear.fail(error.unwrap_or_else(unnamed));
            }
            "error" => {
                // The error stands in the event itself, or in a member.
                let error = ApiError::of_body(&tree, 200).or_else(|| {
                    let message = root.soft_str("message")?;
                    let code = root.soft_str("code");
                    Some(ApiError { code: code.map(str::to_owned), ..ApiError::new(ErrorKind::Internal, message) })
                });
                linear.fail(error.unwrap_or_else(unnamed));
            }
            _ => {}
        }
        Ok(())
    }

    fn saw(&mut self, item: u64, part: u64) {
        if !self.streamed.contains(&(item, part)) {
            self.streamed.push((item, part));
        }
    }

    fn added(&mut self, key: u64, item: &Node<'_, '_>, linear: &mut Linear) -> Result<(), DialectError> {
        let sort = item.need_str("type")?;
        if let "function_call" | "custom_tool_call" = sort {
            let custom = sort == "custom_tool_call";
            self.calls.push(Call { key, pieces: false, custom });
            linear.tool(key, item.need_str("call_id")?, item.soft_str("name").unwrap_or_default(), None);
        }
        Ok(())
    }

    fn piece(&mut self, key: u64, piece: &str, linear: &mut Linear) {
        let Some(call) = self.calls.iter_mut().find(|call| call.key == key) else { return };
        if !call.custom {
            call.pieces |= !piece.is_empty();
            linear.arguments(key, piece, false);
            return;
        }
        // Free text is an object with one member to all others.
        if !std::mem::replace(&mut call.pieces, true) {
            linear.arguments(key, "{\"input\":\"", false);
        }
        linear.arguments(key, &escaped(piece), false);
    }

    fn done(&mut self, key: u64, item: &Node<'_, '_>, linear: &mut Linear) -> Result<(), DialectError> {
        match item.need_str("type")? {
            "function_call" | "custom_tool_call" => {
                if !self.calls.iter().any(|call| call.key == key) {
                    self.added(key, item, linear)?;
                }
                let Some(place) = self.calls.iter().position(|call| call.key == key) else { return Ok(()) };
                let call = self.calls.remove(place);
                linear.tool(key, "", item.soft_str("name").unwrap_or_default(), None);
                match (call.custom, call.pieces) {
                    (true, true) => linear.arguments(key, "\"}", false),
                    (true, false) => {
                        let input =
                            format!("{{\"input\":\"{}\"}}", escaped(item.soft_str("input").unwrap_or_default()));
                        linear.arguments(key, &input, false);
                    }
                    (false, true) => {}
                    (false, false) => linear.arguments(key, item.soft_str("arguments").unwrap_or_default(), false),
                }
                linear.tool_end(key);
            }
            "reasoning" => {
                let streamed = self.streamed.iter().any(|(item, _)| *item == key);
                match items::reasoning(item)? {
                    Some(Block::Thinking { text, signature }) => {
                        if !streamed {
                            linear.thinking(&text);
                        }
                        if let Some(signature) = signature {
                            linear.open_thinking();
                            linear.sign(&signature.value);
                        }
                        linear.end_prose();
                    }
                    Some(Block::Redacted(signature)) if linear.is_thinking() && streamed => {
                        linear.sign(&signature.value);
                        linear.end_prose();
                    }
                    Some(Block::Redacted(signature)) => linear.redacted(&signature.value),
                    _ => linear.end_prose(),
                }
            }
            "message" => {
                if !self.streamed.iter().any(|(item, _)| *item == key) {
                    let mut losses = crate::dialect::loss::Losses::default();
                    for block in items::parts(&item.need("content")?, &mut losses)? {
                        if let Block::Text { text, .. } = block {
                            linear.text(&text);
                        }
                    }
                }
                linear.end_prose();
            }
            _ => {}
        }
        self.streamed.retain(|(item, _)| *item != key);
        Ok(())
    }
}

fn unnamed() -> ApiError {
    ApiError::new(ErrorKind::Internal, "the provider failed without saying why")
}

/// The text inside the quotes of a JSON string.
fn escaped(text: &str) -> String {
    let mut writer = Writer::default();
    writer.string(text);
    let quoted = String::from_utf8(writer.into_bytes()).unwrap_or_default();
    quoted.get(1..quoted.len().saturating_sub(1)).unwrap_or_default().to_owned()
}
