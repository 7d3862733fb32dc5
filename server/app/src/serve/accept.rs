//! The accept loop: accepts connections until the server stops, and registers each.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::config::Http;

use super::connection::{self, Service};
use super::registry::{Admission, Registry};
use super::reserved;

/// Pause after a failed accept, for example when the process is out of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How long aborted connections may take to end.
const ABORT_TIMEOUT: Duration = Duration::from_secs(1);

/// Accepts connections until `stop` is cancelled, then waits for running requests, up to
/// `drain_timeout`, and aborts the rest.
pub(super) async fn accept(
    listener: TcpListener,
    app: Router,
    limits: Http,
    stop: CancellationToken,
    drain_timeout: Duration,
) {
    let registry = Registry::new(limits.clone());
    let service = Arc::new(Service::new(app.clone(), limits));
    // Each connection holds a sender, so `recv` returns when the last connection is gone.
    let (open, mut all_gone) = mpsc::channel::<()>(1);
    let sweeping = tokio::spawn(sweep(registry.clone()));
    loop {
        let Some((stream, peer)) = next(&listener, &stop).await else {
            break;
        };
        if let Err(e) = stream.set_nodelay(true) {
            tracing::debug!(error = %e, "failed to set TCP_NODELAY");
        }
        let open = open.clone();
        match registry.admit(peer.ip()) {
            Admission::Served(ticket) => {
                let service = Arc::clone(&service);
                tokio::spawn(async move {
                    connection::serve(stream, peer, ticket, service).await;
                    drop(open);
                });
            }
            Admission::Reserved(ticket) => {
                let app = app.clone();
                tokio::spawn(async move {
                    reserved::serve(stream, ticket, app).await;
                    drop(open);
                });
            }
            Admission::Refused => drop(stream),
        }
    }
    drop((listener, open));
    registry.close_all();
    if tokio::time::timeout(drain_timeout, all_gone.recv())
        .await
        .is_err()
    {
        tracing::warn!("aborting requests that did not finish within {drain_timeout:?}");
        registry.kill_all();
        // The connections end at their next poll, and drop their requests.
        let _ended = tokio::time::timeout(ABORT_TIMEOUT, all_gone.recv()).await;
    }
    sweeping.abort();
}

/// Returns the next connection, or `None` when the server stops.
async fn next(listener: &TcpListener, stop: &CancellationToken) -> Option<(TcpStream, SocketAddr)> {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => return None,
        };
        match accepted {
            Ok(accepted) => return Some(accepted),
            Err(e) => {
                // Out of file descriptors, or the peer has already disconnected.
                tracing::warn!(error = %e, "failed to accept a connection");
                #[expect(clippy::disallowed_methods, reason = "no request waits here")]
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Closes connections that are past a deadline, as long as the server runs.
async fn sweep(registry: Registry) {
    let mut interval = tokio::time::interval(registry.sweep_interval());
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        interval.tick().await;
        registry.sweep();
    }
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tokio::io::AsyncWriteExt as _;

    use super::*;

    /// Guards against a bug: the log said that the requests were aborted, but they ran on.
    #[tokio::test]
    async fn requests_that_do_not_finish_are_aborted() {
        let (entered, mut running) = mpsc::channel::<()>(1);
        let (held, mut dropped) = mpsc::channel::<()>(1);
        let handler = get(move || {
            let (entered, held) = (entered.clone(), held.clone());
            async move {
                entered.send(()).await.expect("the test receives");
                std::future::pending::<()>().await;
                drop(held);
            }
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let accepting = tokio::spawn(accept(
            listener,
            Router::new().route("/", handler),
            Http::default(),
            stop.clone(),
            Duration::from_millis(10),
        ));
        let mut client = TcpStream::connect(address).await.unwrap();
        let request = b"GET / HTTP/1.1\r\nhost: lake\r\n\r\n";
        client.write_all(request).await.unwrap();
        running.recv().await.expect("the request runs");
        stop.cancel();
        accepting.await.unwrap();
        let dropped = tokio::time::timeout(Duration::from_secs(5), dropped.recv()).await;
        assert_eq!(dropped, Ok(None), "the request was dropped");
    }
}
