//! The log of one hook. It is kept in memory with a size limit and stored when the hook has ended.

/// Maximum size of a hook's log in bytes. Wasm hooks have their own limit.
pub(crate) const MAX_LOG_BYTES: usize = 1 << 20;

/// A log with a size limit. If text was dropped, the finished log ends with a note about it.
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

    /// Appends text. Text beyond the limit is counted but not kept.
    pub(crate) fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }

    /// Appends raw bytes.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        let kept = bytes.len().min(self.limit - self.bytes.len());
        self.bytes.extend_from_slice(&bytes[..kept]);
        self.dropped += bytes.len() - kept;
    }

    /// Finishes the log. `last`, the reason for a failure, is never truncated.
    pub(crate) fn finish(mut self, last: Option<&str>) -> Vec<u8> {
        if self.dropped > 0 {
            let note = format!(
                "\n[log truncated at {} bytes; {} more were dropped]\n",
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
    fn long_log_is_truncated_and_keeps_its_last_line() {
        let mut output = Output::new(5);
        output.text("1234");
        output.text("5678");
        output.text("9");
        let log = String::from_utf8_lossy(&output.finish(Some("Error: x\n"))).into_owned();
        assert_eq!(
            log,
            "12345\n[log truncated at 5 bytes; 4 more were dropped]\nError: x\n"
        );
    }
}
