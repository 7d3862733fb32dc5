//! Accepts connections until told to stop, and gives each its place.

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

/// How long to wait when no connection can be accepted, out of file descriptors for one.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Accepts until told to stop, then waits for the connections' requests, up to `drain_timeout`.
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
    // Each connection has a sender: nothing is received until the last one is gone.
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
        tracing::warn!("some requests took longer than {drain_timeout:?} and are cut off");
    }
    sweeping.abort();
}

/// The next connection; none when told to stop.
async fn next(listener: &TcpListener, stop: &CancellationToken) -> Option<(TcpStream, SocketAddr)> {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => return None,
        };
        match accepted {
            Ok(accepted) => return Some(accepted),
            Err(e) => {
                // Out of file descriptors, or the peer is gone already.
                tracing::warn!(error = %e, "failed to accept a connection");
                #[expect(clippy::disallowed_methods, reason = "no request waits here")]
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Ends connections that are past a deadline, for as long as the server runs.
async fn sweep(registry: Registry) {
    let mut interval = tokio::time::interval(registry.sweep_interval());
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        interval.tick().await;
        registry.sweep();
    }
}
