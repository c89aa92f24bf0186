//! Writing JSON straight into bytes. Values that exist already are written by `serde_json`.

use super::json::Json;

/// Appends JSON to a buffer. Whether a comma is due is seen from the byte before.
#[derive(Debug, Default)]
pub struct Writer {
    out: Vec<u8>,
}

impl Writer {
    /// Goes on after what is in a buffer.
    #[must_use]
    pub const fn onto(out: Vec<u8>) -> Self {
        Self { out }
    }

    /// The buffer.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.out
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.out
    }

    /// Takes over bytes as they are, such as the frame of an event.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    fn comma(&mut self) {
        // A JSON value never ends in one of these outside a string, and a string ends in its quote.
        if !matches!(self.out.last(), None | Some(b'{' | b'[' | b':' | b' ' | b'\n')) {
            self.out.push(b',');
        }
    }

    pub(crate) fn key(&mut self, key: &str) {
        self.comma();
        self.quoted(key);
        self.out.push(b':');
    }

    fn quoted(&mut self, text: &str) {
        // Writing into a vector cannot fail.
        let _infallible = serde_json::to_writer(&mut self.out, text);
    }

    /// An object, as the next value.
    pub(crate) fn object<T>(&mut self, fill: impl FnOnce(&mut Self) -> T) -> T {
        self.comma();
        self.out.push(b'{');
        let value = fill(self);
        self.out.push(b'}');
        value
    }

    /// An array, as the next value.
    pub(crate) fn array<T>(&mut self, fill: impl FnOnce(&mut Self) -> T) -> T {
        self.comma();
        self.out.push(b'[');
        let value = fill(self);
        self.out.push(b']');
        value
    }

    pub(crate) fn object_at<T>(&mut self, key: &str, fill: impl FnOnce(&mut Self) -> T) -> T {
        self.key(key);
        self.object(fill)
    }

    pub(crate) fn array_at<T>(&mut self, key: &str, fill: impl FnOnce(&mut Self) -> T) -> T {
        self.key(key);
        self.array(fill)
    }

    pub(crate) fn string(&mut self, text: &str) {
        self.comma();
        self.quoted(text);
    }

    pub(crate) fn str_at(&mut self, key: &str, text: &str) {
        self.key(key);
        self.quoted(text);
    }

    pub(crate) fn opt_str_at(&mut self, key: &str, text: Option<&str>) {
        if let Some(text) = text {
            self.str_at(key, text);
        }
    }

    pub(crate) fn u64_at(&mut self, key: &str, value: u64) {
        self.key(key);
        self.out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
    }

    pub(crate) fn opt_u64_at(&mut self, key: &str, value: Option<u64>) {
        if let Some(value) = value {
            self.u64_at(key, value);
        }
    }

    pub(crate) fn f64_at(&mut self, key: &str, value: f64) {
        self.key(key);
        let _infallible = serde_json::to_writer(&mut self.out, &value);
    }

    pub(crate) fn opt_f64_at(&mut self, key: &str, value: Option<f64>) {
        if let Some(value) = value {
            self.f64_at(key, value);
        }
    }

    /// An array of numbers, as the next value. They are finite: JSON has no other.
    pub(crate) fn numbers(&mut self, numbers: &[f32]) {
        self.comma();
        self.numbers_here(numbers);
    }

    pub(crate) fn numbers_at(&mut self, key: &str, numbers: &[f32]) {
        self.key(key);
        self.numbers_here(numbers);
    }

    fn numbers_here(&mut self, numbers: &[f32]) {
        self.out.push(b'[');
        for (at, number) in numbers.iter().enumerate() {
            if at > 0 {
                self.out.push(b',');
            }
            let _infallible = serde_json::to_writer(&mut self.out, number);
        }
        self.out.push(b']');
    }

    pub(crate) fn bool_at(&mut self, key: &str, value: bool) {
        self.key(key);
        self.out.extend_from_slice(if value { b"true" } else { b"false" });
    }

    pub(crate) fn null_at(&mut self, key: &str) {
        self.key(key);
        self.out.extend_from_slice(b"null");
    }

    /// JSON text that is known to be valid.
    pub(crate) fn raw_at(&mut self, key: &str, json: &str) {
        self.key(key);
        // Space at its end would hide that a comma is due.
        self.out.extend_from_slice(json.trim().as_bytes());
    }

    pub(crate) fn json_at(&mut self, key: &str, value: &Json<'_>) {
        self.key(key);
        let _infallible = serde_json::to_writer(&mut self.out, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commas_fall_where_they_are_due() {
        let mut writer = Writer::onto(b"data: ".to_vec());
        writer.object(|w| {
            w.str_at("a", "{[");
            w.array_at("b", |w| {
                w.string("x:");
                w.object(|_| ());
                w.object(|w| w.u64_at("n", 1));
            });
            w.bool_at("c", true);
            w.f64_at("d", 0.5);
            w.null_at("e");
        });
        assert_eq!(
            String::from_utf8(writer.into_bytes()).unwrap(),
            r#"data: {"a":"{[","b":["x:",{},{"n":1}],"c":true,"d":0.5,"e":null}"#
        );
    }
}
