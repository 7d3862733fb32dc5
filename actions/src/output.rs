//! The log of one hook: text in memory, bounded, stored when the hook has ended.

/// What a webhook's log may hold. Wasm hooks have a limit of their own.
pub(crate) const MAX_LOG_BYTES: usize = 1 << 20;

/// A log that stops growing at its limit and says so.
#[derive(Debug)]
pub(crate) struct Output {
    bytes: Vec<u8>,
    limit: usize,
    dropped: usize,
}

impl Output {
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            bytes: Vec::new(),
            limit,
            dropped: 0,
        }
    }

    /// Takes the log, to be written elsewhere; what is left takes nothing more.
    pub(crate) fn take(&mut self) -> Self {
        std::mem::replace(self, Self::new(0))
    }

    /// Appends text; what is beyond the limit is counted, not kept.
    pub(crate) fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }

    /// Appends bytes as they are.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        let kept = bytes.len().min(self.limit - self.bytes.len());
        self.bytes.extend_from_slice(&bytes[..kept]);
        self.dropped += bytes.len() - kept;
    }

    /// The last words, which are never cut off: why the hook failed.
    pub(crate) fn finish(mut self, last: Option<&str>) -> Vec<u8> {
        if self.dropped > 0 {
            let note = format!(
                "\n[log cut at {} bytes; {} more were dropped]\n",
                self.limit, self.dropped
            );
            self.bytes.extend_from_slice(note.as_bytes());
        }
        if let Some(last) = last {
            self.bytes.extend_from_slice(last.as_bytes());
        }
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_cut_and_the_end_is_kept() {
        let mut output = Output::new(5);
        output.text("1234");
        output.text("5678");
        output.text("9");
        let log = String::from_utf8_lossy(&output.finish(Some("Error: x\n"))).into_owned();
        assert_eq!(
            log,
            "12345\n[log cut at 5 bytes; 4 more were dropped]\nError: x\n"
        );
    }
}
