//! Generates the physical addresses of new bytes.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use base::{Clock, IdGenerator, OffsetDateTime};

/// The maximum number of addresses in a folder.
const PARTITION_ADDRESSES: u32 = 50_000;
/// How long a folder gets new addresses.
const PARTITION_AGE: Duration = Duration::from_secs(60 * 60);

/// Generates relative addresses for new bytes: `data/<descending xid>/<xid>`.
///
/// Each server process uses its own folder and changes it regularly, so no folder grows without bound. Newer folders
/// sort before older ones.
#[derive(Debug)]
pub(crate) struct Addresses {
    clock: Arc<dyn Clock>,
    ids: Arc<dyn IdGenerator>,
    partition: Mutex<Option<Partition>>,
}

#[derive(Debug)]
struct Partition {
    id: String,
    since: OffsetDateTime,
    made: u32,
}

impl Addresses {
    pub(crate) fn new(clock: Arc<dyn Clock>, ids: Arc<dyn IdGenerator>) -> Self {
        Self {
            clock,
            ids,
            partition: Mutex::new(None),
        }
    }

    pub(crate) fn next(&self) -> String {
        let now = self.clock.now();
        let mut current = self
            .partition
            .lock()
            .expect("no holder of the partition panics");
        let partition = current
            .take_if(|partition| {
                partition.made < PARTITION_ADDRESSES && now - partition.since < PARTITION_AGE
            })
            .unwrap_or_else(|| Partition {
                id: self.ids.descending_data_id(),
                since: now,
                made: 0,
            });
        let address = format!("data/{}/{}", partition.id, self.ids.xid());
        *current = Some(Partition {
            made: partition.made + 1,
            ..partition
        });
        address
    }
}
