//! Lanes: a lone request goes at once, requests that find every lane busy are batched.
//!
//! The first to find a free lane runs its own request, alone, in its own task.
//! Whoever comes while all lanes are busy waits, and the lane that frees first takes
//! all who wait, up to a bound. No timer, no delay: batches form only out of
//! waiting that happens anyway. A request is never joined to work already sent.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;
use tokio::sync::oneshot;

use crate::{Error, Result};

/// What the lanes do with requests.
#[async_trait]
pub(crate) trait Handler: Send + Sync + 'static {
    /// What is asked.
    type Request: Send + 'static;
    /// What is answered.
    type Reply: Send + 'static;

    /// Handles one request. May be dropped half-way, with its caller.
    async fn alone(&self, request: Self::Request) -> Result<Self::Reply>;

    /// Handles requests of several callers at once; replies in their order.
    async fn together(&self, requests: Vec<Self::Request>) -> Vec<Result<Self::Reply>>;

    /// What a request counts towards [`Limits::batch_weight`].
    fn weight(&self, request: &Self::Request) -> usize;
}

/// The bounds of a set of lanes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Requests or batches under way at one time.
    pub(crate) lanes: usize,
    /// Weight of a batch, after which no further request joins it.
    pub(crate) batch_weight: usize,
    /// Requests that may wait; more are told to slow down.
    pub(crate) waiting: usize,
}

/// A set of lanes in front of a handler.
pub(crate) struct Lanes<H: Handler> {
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
    Alone(H::Request, Pass<H>),
    Wait(oneshot::Receiver<Result<H::Reply>>),
    Full,
}

impl<H: Handler> Lanes<H> {
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

    /// Handles `request` at once or with others.
    pub(crate) async fn submit(self: &Arc<Self>, request: H::Request) -> Result<H::Reply> {
        match self.admit(request) {
            Admission::Alone(request, _pass) => self.handler.alone(request).await,
            Admission::Wait(reply) => reply.await.unwrap_or_else(|_| {
                Err(Error::storage(
                    "use the store",
                    "the store was closed meanwhile",
                ))
            }),
            Admission::Full => Err(Error::SlowDown(
                "too many requests wait for the store".into(),
            )),
        }
    }

    fn admit(self: &Arc<Self>, request: H::Request) -> Admission<H> {
        let mut state = self.lock();
        if state.busy < self.limits.lanes {
            state.busy += 1;
            return Admission::Alone(request, Pass(Arc::clone(self)));
        }
        if state.waiting.len() >= self.limits.waiting {
            return Admission::Full;
        }
        let (reply, answer) = oneshot::channel();
        state.waiting.push_back(Waiting { request, reply });
        Admission::Wait(answer)
    }

    /// Gives the lane to those who wait, or frees it.
    fn leave(&self) -> Option<Vec<Waiting<H>>> {
        let mut state = self.lock();
        let mut batch = Vec::new();
        let mut weight = 0;
        while weight < self.limits.batch_weight
            && let Some(next) = state.waiting.pop_front()
        {
            // Nobody wants the answer of a caller that has gone.
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
        let _pass = Pass(Arc::clone(&self));
        let (requests, callers): (Vec<_>, Vec<_>) = batch
            .into_iter()
            .map(|waiting| (waiting.request, waiting.reply))
            .unzip();
        let replies = self.handler.together(requests).await;
        debug_assert_eq!(replies.len(), callers.len(), "one reply for each request");
        for (caller, reply) in callers.into_iter().zip(replies) {
            // Nobody to tell if the caller has gone.
            let _gone = caller.send(reply);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<H>> {
        self.state.lock().expect("no holder of the lanes panics")
    }
}

/// The right to use one lane. Dropped when its holder is done, panics or is cancelled.
struct Pass<H: Handler>(Arc<Lanes<H>>);

impl<H: Handler> Drop for Pass<H> {
    fn drop(&mut self) {
        // Without a runtime the server is going down: those who wait learn it when the queue is dropped.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return;
        };
        if let Some(batch) = self.0.leave() {
            runtime.spawn(Arc::clone(&self.0).run(batch));
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::Semaphore;

    use super::*;

    /// Answers with the size of the batch that a request was in; each batch needs a permit to go on.
    struct Gate {
        permits: Arc<Semaphore>,
    }

    #[async_trait]
    impl Handler for Gate {
        type Request = usize;
        type Reply = usize;

        async fn alone(&self, _request: usize) -> Result<usize> {
            self.permits.acquire().await.unwrap().forget();
            Ok(1)
        }

        async fn together(&self, requests: Vec<usize>) -> Vec<Result<usize>> {
            self.permits.acquire().await.unwrap().forget();
            requests.iter().map(|_| Ok(requests.len())).collect()
        }

        fn weight(&self, request: &usize) -> usize {
            *request
        }
    }

    fn gate(limits: Limits) -> (Arc<Lanes<Gate>>, Arc<Semaphore>) {
        let permits = Arc::new(Semaphore::new(0));
        (
            Lanes::new(
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
    async fn submit(lanes: &Arc<Lanes<Gate>>, weight: usize) -> Task {
        let lanes = Arc::clone(lanes);
        let task = tokio::spawn(async move { lanes.submit(weight).await });
        tokio::task::yield_now().await;
        task
    }

    #[tokio::test]
    async fn a_lone_request_goes_alone_and_those_behind_it_together() {
        let (lanes, permits) = gate(Limits {
            lanes: 1,
            batch_weight: 3,
            waiting: 4,
        });
        let first = submit(&lanes, 1).await;
        let mut behind = Vec::new();
        for _ in 0..4 {
            behind.push(submit(&lanes, 1).await);
        }
        let refused = submit(&lanes, 1).await.await.unwrap();
        assert!(
            matches!(refused, Err(Error::SlowDown(_))),
            "the queue is bounded"
        );

        permits.add_permits(3);
        assert_eq!(first.await.unwrap().unwrap(), 1);
        let mut sizes = Vec::new();
        for task in behind {
            sizes.push(task.await.unwrap().unwrap());
        }
        assert_eq!(sizes, [3, 3, 3, 1], "the bound of a batch holds");
    }

    #[tokio::test]
    async fn a_cancelled_caller_frees_its_lane() {
        let (lanes, permits) = gate(Limits {
            lanes: 1,
            batch_weight: 8,
            waiting: 8,
        });
        let holder = submit(&lanes, 1).await;
        let gone = submit(&lanes, 1).await;
        let waiting = submit(&lanes, 1).await;
        gone.abort();
        holder.abort();
        permits.add_permits(1);
        assert_eq!(
            waiting.await.unwrap().unwrap(),
            1,
            "runs without the two that have gone"
        );
    }
}
