//! Checks an object's bytes while they are sent: a body that fails, or has another length than announced, is logged and
//! ends with an error, so that the client does not mistake it for a complete body.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use block::ByteStream;
use bytes::Bytes;
use futures::Stream;
use graveler::{Repository, RepositoryId};

use crate::Object;

/// Returns `body`, which must have `length` bytes of an object.
pub(crate) fn checked_body(
    body: ByteStream,
    repository: &Repository,
    object: &Object,
    length: u64,
) -> ByteStream {
    Box::pin(CheckedBody {
        body: Some(body),
        left: length,
        repository: repository.id.clone(),
        path: object.path.clone(),
        physical_address: object.physical_address.clone(),
    })
}

struct CheckedBody {
    /// `None` after the end or a failure.
    body: Option<ByteStream>,
    /// How many bytes are missing.
    left: u64,
    repository: RepositoryId,
    path: String,
    physical_address: String,
}

impl CheckedBody {
    /// Ends the body with an error.
    fn fail(&mut self, error: io::Error) -> io::Error {
        self.body = None;
        tracing::error!(
            repo.id = %self.repository,
            path = self.path,
            physical_address = self.physical_address,
            error = %base::error_chain(&error),
            "failed to read all bytes of an object; the answer is cut off"
        );
        error
    }
}

impl Stream for CheckedBody {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some(body) = &mut self.body else {
            return Poll::Ready(None);
        };
        let error = match ready!(body.as_mut().poll_next(cx)) {
            Some(Ok(piece)) => match self.left.checked_sub(piece.len() as u64) {
                Some(left) => {
                    self.left = left;
                    return Poll::Ready(Some(Ok(piece)));
                }
                None => io::Error::other("the store sent more bytes than the object has"),
            },
            Some(Err(error)) => error,
            None if self.left == 0 => {
                self.body = None;
                return Poll::Ready(None);
            }
            None => io::Error::new(
                io::ErrorKind::UnexpectedEof,
                format!("the store's answer ended {} bytes early", self.left),
            ),
        };
        Poll::Ready(Some(Err(self.fail(error))))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use futures::{StreamExt as _, TryStreamExt as _};

    use super::*;
    use crate::testing::TestCatalog;
    use crate::{Error, ObjectTarget};

    /// Collects log lines.
    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl Write for Log {
        fn write(&mut self, line: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(line)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Log {
        fn start(&self) -> tracing::subscriber::DefaultGuard {
            let log = self.clone();
            let subscriber = tracing_subscriber::fmt()
                .with_ansi(false)
                .with_writer(move || log.clone())
                .finish();
            tracing::subscriber::set_default(subscriber)
        }

        /// Asserts that the only line is an error that names the object `a` of the repository `lake`.
        #[track_caller]
        fn assert_names(&self, object: &Object) {
            let log = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
            assert_eq!(log.lines().count(), 1, "{log}");
            let address = format!("physical_address=\"{}\"", object.physical_address);
            for part in ["ERROR", "repo.id=lake", "path=\"a\"", &address] {
                assert!(log.contains(part), "{part}: {log}");
            }
        }
    }

    /// A repository whose object `a` of 8 bytes has other bytes in the store.
    async fn damaged(bytes: &'static [u8]) -> (TestCatalog, Repository, Object) {
        let lake = TestCatalog::new();
        let repository = lake.repository("lake").await;
        let object = lake.put(&repository, "main", "a", "01234567").await;
        lake.replace_bytes(&object, bytes).await;
        (lake, repository, object)
    }

    /// Guards against a bug: an object with too few bytes broke the connection before a status was sent, one with too many
    /// was cut off, and the log had no line about either.
    #[tokio::test]
    async fn bytes_of_another_size_than_the_entry_says_are_refused() {
        for bytes in [&b""[..], b"0123", b"0123456789"] {
            for range in [None, Some(1..3), Some(6..8)] {
                let (lake, repository, object) = damaged(bytes).await;
                let log = Log::default();
                let _logging = log.start();
                let opened = lake.reader().open(&repository, &object, range).await;
                let Err(Error::WrongSize(wrong)) = opened.map(drop) else {
                    panic!("the size was not checked");
                };
                assert_eq!((wrong.stored, wrong.expected), (bytes.len() as u64, 8));
                log.assert_names(&object);
            }
        }
    }

    #[tokio::test]
    async fn copy_of_bytes_of_another_size_is_refused_and_stores_nothing() {
        let (lake, repository, object) = damaged(b"0123").await;
        let before = lake.block.addresses();
        let log = Log::default();
        let _logging = log.start();
        let to = ObjectTarget {
            repository: &repository,
            branch: "main",
            path: "b",
        };
        let copied = lake.copy((&repository, "main", "a"), to, None, false).await;
        assert!(matches!(copied, Err(Error::WrongSize(_))), "{copied:?}");
        assert_eq!(lake.block.addresses(), before);
        log.assert_names(&object);
    }

    /// Guards against a bug: the log had no line about an answer that was cut off.
    #[tokio::test]
    async fn body_that_fails_or_has_another_length_ends_with_an_error() {
        let piece = |bytes: &'static [u8]| Ok(Bytes::from_static(bytes));
        let failure = || Err(io::Error::other("disk on fire"));
        for pieces in [
            vec![],
            vec![piece(b"01"), piece(b"2")],
            vec![piece(b"01"), failure(), piece(b"23")],
            vec![piece(b"01"), piece(b"234")],
            vec![piece(b"0123"), failure()],
        ] {
            let (_lake, repository, object) = damaged(b"").await;
            let log = Log::default();
            let _logging = log.start();
            let shown = format!("{pieces:?}");
            let body: ByteStream = Box::pin(futures::stream::iter(pieces));
            let sent: Vec<_> = checked_body(body, &repository, &object, 4).collect().await;
            let failures = sent.iter().filter(|piece| piece.is_err()).count();
            assert_eq!(failures, 1, "{shown}");
            assert!(sent.last().unwrap().is_err(), "{shown}");
            log.assert_names(&object);
        }
    }

    #[tokio::test]
    async fn complete_body_is_unchanged() {
        let (_lake, repository, object) = damaged(b"").await;
        let log = Log::default();
        let _logging = log.start();
        let body = block::from_bytes(Bytes::from_static(b"0123"));
        let sent: Vec<_> = checked_body(body, &repository, &object, 4)
            .try_collect()
            .await
            .unwrap();
        assert_eq!(sent, [Bytes::from_static(b"0123")]);
        assert!(log.0.lock().unwrap().is_empty());
    }
}
