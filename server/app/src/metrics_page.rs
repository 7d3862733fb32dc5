//! The page `/metrics`, rendered at most once a second. All responses within that second share its bytes.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::body::Bytes;
use axum::response::{IntoResponse as _, Response};
use http::{HeaderValue, header};
use metrics_exporter_prometheus::PrometheusHandle;

/// Time for which a rendered page is served.
const MAX_AGE: Duration = Duration::from_secs(1);

/// Renders the metrics. Cheap to clone; clones share the rendered page.
#[derive(Clone)]
pub(crate) struct MetricsPage {
    metrics: PrometheusHandle,
    rendered: Arc<Mutex<Option<(Instant, Bytes)>>>,
}

impl MetricsPage {
    pub(crate) fn new(metrics: PrometheusHandle) -> Self {
        Self {
            metrics,
            rendered: Arc::default(),
        }
    }

    /// Responds with the page.
    pub(crate) fn respond(&self) -> Response {
        let mut response = self.page().into_response();
        let text = HeaderValue::from_static("text/plain; charset=utf-8");
        response.headers_mut().insert(header::CONTENT_TYPE, text);
        response.extensions_mut().insert(api::SharedBody);
        response
    }

    fn page(&self) -> Bytes {
        // Held while rendering, so that concurrent requests wait for one page instead of rendering one each.
        let mut rendered = self.rendered.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, page)) = &*rendered
            && at.elapsed() < MAX_AGE
        {
            return page.clone();
        }
        let page = Bytes::from(self.metrics.render());
        *rendered = Some((Instant::now(), page.clone()));
        page
    }
}

#[cfg(test)]
mod tests {
    use metrics_exporter_prometheus::PrometheusBuilder;

    use super::*;

    /// Guards against a bug: each response had a separate copy of the page, so clients that read nothing exhausted the memory.
    #[test]
    fn responses_of_one_second_share_a_page() {
        let recorder = PrometheusBuilder::new().build_recorder();
        let page = MetricsPage::new(recorder.handle());
        metrics::with_local_recorder(&recorder, || metrics::counter!("one").increment(1));
        let first = page.page();
        assert!(first.starts_with(b"# TYPE one counter\none 1\n"));
        metrics::with_local_recorder(&recorder, || metrics::counter!("one").increment(1));
        assert_eq!(page.page().as_ptr(), first.as_ptr());
        assert!(
            page.respond()
                .extensions()
                .get::<api::SharedBody>()
                .is_some()
        );

        let a_second_ago = Instant::now().checked_sub(MAX_AGE).expect("the clock runs");
        *page.rendered.lock().unwrap() = Some((a_second_ago, first));
        assert!(page.page().starts_with(b"# TYPE one counter\none 2\n"));
    }
}
