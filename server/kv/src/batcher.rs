//! Batches requests that would have to wait anyway.
//!
//! A batcher has a fixed number of slots. A request that finds a free slot runs immediately and
//! alone, in its caller's task. Requests that arrive while all slots are in use wait in a queue. When a
//! slot becomes free, it takes the waiting requests, up to a limit, and runs them as one batch. There are no
//! timers, so batching never delays a request. A request never joins a batch that has started.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;
use tokio::sync::oneshot;

use crate::{Error, Result};

/// Executes the requests of a [`Batcher`].
#[async_trait]
pub(crate) trait Handler: Send + Sync + 'static {
    /// The type of requests.
    type Request: Send + 'static;
    /// The type of replies.
    type Reply: Send + 'static;

    /// Handles one request. The future is dropped if its caller is cancelled.
    async fn run_one(&self, request: Self::Request) -> Result<Self::Reply>;

    /// Handles the requests of several callers together. Returns one reply per request, in the same order.
    async fn run_batch(&self, requests: Vec<Self::Request>) -> Vec<Result<Self::Reply>>;

    /// Returns how much a request counts towards [`Limits::batch_weight`].
    fn weight(&self, request: &Self::Request) -> usize;
}

/// The limits of a [`Batcher`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Maximum number of requests or batches that run at the same time.
    pub(crate) slots: usize,
    /// Once a batch reaches this weight, no further request joins it.
    pub(crate) batch_weight: usize,
    /// Maximum number of waiting requests; more are rejected with [`Error::SlowDown`].
    pub(crate) waiting: usize,
}

/// Runs requests on a handler, alone or in batches.
pub(crate) struct Batcher<H: Handler> {
    handler: H,
    limits: Limits,
    state: Mutex<State<H>>,
}

struct State<H: Handler> {
    busy: usize,
    waiting: VecDeque<Waiting<H>>,
}

struct Waiting<H: Handler> {
    request: H::Request,
    reply: oneshot::Sender<Result<H::Reply>>,
}

enum Admission<H: Handler> {
    Run(H::Request, Slot<H>),
    Wait(oneshot::Receiver<Result<H::Reply>>),
    Full,
}

impl<H: Handler> Batcher<H> {
    pub(crate) fn new(handler: H, limits: Limits) -> Arc<Self> {
        let state = State {
            busy: 0,
            waiting: VecDeque::new(),
        };
        Arc::new(Self {
            handler,
            limits,
            state: Mutex::new(state),
        })
    }

    /// Runs `request`, alone or in a batch, and returns its reply.
    pub(crate) async fn submit(self: &Arc<Self>, request: H::Request) -> Result<H::Reply> {
        match self.admit(request) {
            Admission::Run(request, _slot) => self.handler.run_one(request).await,
            Admission::Wait(reply) => reply.await.unwrap_or_else(|_| {
                Err(Error::storage(
                    "use the store",
                    "the store was closed before the request was handled",
                ))
            }),
            Admission::Full => Err(Error::SlowDown(
                "too many requests are waiting for the store".into(),
            )),
        }
    }

    fn admit(self: &Arc<Self>, request: H::Request) -> Admission<H> {
        let mut state = self.lock();
        if state.busy < self.limits.slots {
            state.busy += 1;
            return Admission::Run(request, Slot(Arc::clone(self)));
        }
        if state.waiting.len() >= self.limits.waiting {
            return Admission::Full;
        }
        let (reply, answer) = oneshot::channel();
        state.waiting.push_back(Waiting { request, reply });
        Admission::Wait(answer)
    }

    /// Passes the slot to a batch of waiting requests and returns the batch. Frees the slot if no request waits.
    fn release(&self) -> Option<Vec<Waiting<H>>> {
        let mut state = self.lock();
        let mut batch = Vec::new();
        let mut weight = 0;
        while weight < self.limits.batch_weight
            && let Some(next) = state.waiting.pop_front()
        {
            // Skip requests whose caller was cancelled.
            if !next.reply.is_closed() {
                weight += self.handler.weight(&next.request);
                batch.push(next);
            }
        }
        if batch.is_empty() {
            state.busy -= 1;
            return None;
        }
        Some(batch)
    }

    async fn run(self: Arc<Self>, batch: Vec<Waiting<H>>) {
        let _slot = Slot(Arc::clone(&self));
        let (requests, callers): (Vec<_>, Vec<_>) = batch
            .into_iter()
            .map(|waiting| (waiting.request, waiting.reply))
            .unzip();
        let replies = self.handler.run_batch(requests).await;
        debug_assert_eq!(replies.len(), callers.len(), "one reply for each request");
        for (caller, reply) in callers.into_iter().zip(replies) {
            // Sending fails if the caller was cancelled, which is fine.
            let _cancelled = caller.send(reply);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<H>> {
        self.state
            .lock()
            .expect("no code panics while it holds this lock")
    }
}

/// Permission to run one request or batch. Dropped when its holder finishes, panics or is cancelled.
struct Slot<H: Handler>(Arc<Batcher<H>>);

impl<H: Handler> Drop for Slot<H> {
    fn drop(&mut self) {
        // Without a runtime the server is shutting down. Waiting requests fail when the queue is dropped.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return;
        };
        if let Some(batch) = self.0.release() {
            runtime.spawn(Arc::clone(&self.0).run(batch));
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::Semaphore;

    use super::*;

    /// Replies with the size of the request's batch. Each batch waits for a permit.
    struct Gate {
        permits: Arc<Semaphore>,
    }

    #[async_trait]
    impl Handler for Gate {
        type Request = usize;
        type Reply = usize;

        async fn run_one(&self, _request: usize) -> Result<usize> {
            self.permits.acquire().await.unwrap().forget();
            Ok(1)
        }

        async fn run_batch(&self, requests: Vec<usize>) -> Vec<Result<usize>> {
            self.permits.acquire().await.unwrap().forget();
            requests.iter().map(|_| Ok(requests.len())).collect()
        }

        fn weight(&self, request: &usize) -> usize {
            *request
        }
    }

    fn gate(limits: Limits) -> (Arc<Batcher<Gate>>, Arc<Semaphore>) {
        let permits = Arc::new(Semaphore::new(0));
        (
            Batcher::new(
                Gate {
                    permits: Arc::clone(&permits),
                },
                limits,
            ),
            permits,
        )
    }

    type Task = tokio::task::JoinHandle<Result<usize>>;

    /// Submits a request and lets it run until it waits.
    async fn submit(batcher: &Arc<Batcher<Gate>>, weight: usize) -> Task {
        let batcher = Arc::clone(batcher);
        let task = tokio::spawn(async move { batcher.submit(weight).await });
        tokio::task::yield_now().await;
        task
    }

    #[tokio::test]
    async fn first_request_runs_alone_and_waiting_requests_in_batches() {
        let (batcher, permits) = gate(Limits {
            slots: 1,
            batch_weight: 3,
            waiting: 4,
        });
        let first = submit(&batcher, 1).await;
        let mut waiting = Vec::new();
        for _ in 0..4 {
            waiting.push(submit(&batcher, 1).await);
        }
        let refused = submit(&batcher, 1).await.await.unwrap();
        assert!(
            matches!(refused, Err(Error::SlowDown(_))),
            "the queue is bounded"
        );

        permits.add_permits(3);
        assert_eq!(first.await.unwrap().unwrap(), 1);
        let mut sizes = Vec::new();
        for task in waiting {
            sizes.push(task.await.unwrap().unwrap());
        }
        assert_eq!(sizes, [3, 3, 3, 1], "a batch stops at its maximum weight");
    }

    #[tokio::test]
    async fn cancelled_caller_frees_its_slot() {
        let (batcher, permits) = gate(Limits {
            slots: 1,
            batch_weight: 8,
            waiting: 8,
        });
        let holder = submit(&batcher, 1).await;
        let gone = submit(&batcher, 1).await;
        let waiting = submit(&batcher, 1).await;
        gone.abort();
        holder.abort();
        permits.add_permits(1);
        assert_eq!(
            waiting.await.unwrap().unwrap(),
            1,
            "runs without the two cancelled requests"
        );
    }
}
