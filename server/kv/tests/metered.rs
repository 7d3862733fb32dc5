//! Tests of the metrics that the metered store reports.

use std::sync::Arc;

use bytes::Bytes;
use kv::testing::{Faults, FaultyStore};
use kv::{MemoryStore, MeteredStore, Predicate, Store as _};
use metrics_exporter_prometheus::PrometheusBuilder;

#[test]
fn durations_and_failures_are_reported_by_driver_and_operation() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    metrics::with_local_recorder(&recorder, || {
        runtime.block_on(async {
            let store = MeteredStore::new(Arc::new(MemoryStore::new()));
            store.set(b"p", b"k", Bytes::new()).await.unwrap();
            store.get(b"p", b"k").await.unwrap();
            store.get(b"p", b"k").await.unwrap();
            // A failed predicate does not count as a failure.
            store
                .set_if(b"p", b"k", Bytes::new(), Predicate::Absent)
                .await
                .unwrap_err();

            let faults = Faults {
                read: 255,
                ..Faults::default()
            };
            let broken = MeteredStore::new(Arc::new(FaultyStore::new(
                Arc::new(MemoryStore::new()),
                1,
                faults,
            )));
            broken.scan(b"p", b"", 1).await.unwrap_err();
        });
    });
    let report = handle.render();
    for line in [
        r#"kv_request_duration_seconds_count{driver="mem",operation="get"} 2"#,
        r#"kv_request_duration_seconds_count{driver="mem",operation="set"} 1"#,
        r#"kv_request_duration_seconds_count{driver="mem",operation="set_if"} 1"#,
        r#"kv_request_failures_total{driver="mem",operation="scan"} 1"#,
    ] {
        assert!(report.contains(line), "{line} is missing in\n{report}");
    }
    assert!(
        !report.contains(r#"failures_total{driver="mem",operation="set_if"}"#),
        "{report}"
    );
}
