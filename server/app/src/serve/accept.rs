//! The accept loop: accepts connections until the server stops, and registers each.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::config::Http;

use super::connection::{self, Protocols};
use super::registry::{Admission, Registry};
use super::reserved;

/// Pause after a failed accept, for example when the process is out of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Accepts connections until `stop` is cancelled, then waits for running requests, up to
/// `drain_timeout`.
pub(super) async fn accept(
    listener: TcpListener,
    app: Router,
    limits: Http,
    stop: CancellationToken,
    drain_timeout: Duration,
) {
    let registry = Registry::new(limits.clone());
    let protocols = Arc::new(Protocols::new(&limits));
    let limits = Arc::new(limits);
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
        let (app, open) = (app.clone(), open.clone());
        match registry.admit(peer.ip()) {
            Admission::Served(ticket) => {
                let (protocols, limits) = (Arc::clone(&protocols), Arc::clone(&limits));
                tokio::spawn(async move {
                    connection::serve(stream, peer, ticket, protocols, limits, app).await;
                    drop(open);
                });
            }
            Admission::Reserved(ticket) => {
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
