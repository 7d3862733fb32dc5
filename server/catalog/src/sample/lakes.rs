//! Generates a Parquet file with a hundred thousand invented lakes: id, name, country, maximum depth in metres.

use std::sync::Arc;

use bytes::Bytes;
use parquet::basic::{Compression, GzipLevel};
use parquet::data_type::{ByteArray, ByteArrayType, DoubleType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;

use super::random::Numbers;

/// The number of lakes.
pub const LAKES: usize = 100_000;
const SEED: u64 = 20_240_601;
/// The columns that lakeFS tutorials query.
const SCHEMA: &str = "message lakes {
    REQUIRED INT64 Hylak_id;
    REQUIRED BYTE_ARRAY Lake_name (UTF8);
    REQUIRED BYTE_ARRAY Country (UTF8);
    REQUIRED DOUBLE Depth_m;
}";

/// The share of each country, in lakes per thousand. Canada has the rest.
const COUNTRIES: &[(&str, usize)] = &[
    ("Russia", 190),
    ("United States of America", 110),
    ("Finland", 60),
    ("Sweden", 55),
    ("Norway", 45),
    ("China", 30),
    ("Brazil", 22),
    ("Argentina", 20),
    ("Kazakhstan", 18),
    ("Australia", 15),
    ("Chile", 12),
    ("Mexico", 10),
    ("India", 10),
    ("Poland", 8),
    ("Germany", 7),
    ("Iceland", 6),
    ("Peru", 6),
    ("Ireland", 5),
    ("France", 5),
    ("Denmark", 4),
    ("Japan", 4),
    ("Italy", 4),
    ("Switzerland", 3),
    ("New Zealand", 3),
    ("Kenya", 3),
];
const REMAINDER_COUNTRY: &str = "Canada";

const FIRST_WORDS: &[&str] = &[
    "Alder",
    "Amber",
    "Birch",
    "Brimstone",
    "Clear",
    "Cold",
    "Copper",
    "Crane",
    "Dusk",
    "Ember",
    "Fern",
    "Flint",
    "Granite",
    "Grey",
    "Heron",
    "Hollow",
    "Iron",
    "Larch",
    "Lantern",
    "Long",
    "Marsh",
    "Mirror",
    "Moss",
    "North",
    "Otter",
    "Pine",
    "Quiet",
    "Raven",
    "Reed",
    "Silver",
    "Slate",
    "Stone",
    "Thistle",
    "Willow",
    "Winter",
    "Wolf",
];
const SECOND_WORDS: &[&str] = &[
    "Water",
    "Lake",
    "Tarn",
    "Mere",
    "Pond",
    "Basin",
    "Pool",
    "Reservoir",
];

/// Encodes the file. One row group is enough for its size.
pub(super) fn parquet() -> Result<Bytes, ParquetError> {
    let mut numbers = Numbers::new(SEED);
    let mut ids = Vec::with_capacity(LAKES);
    let mut names = Vec::with_capacity(LAKES);
    let mut countries = Vec::with_capacity(LAKES);
    let mut depths = Vec::with_capacity(LAKES);
    for id in 1..=i64::try_from(LAKES).expect("a count fits") {
        ids.push(id);
        let name = format!(
            "{} {}",
            numbers.pick(FIRST_WORDS),
            numbers.pick(SECOND_WORDS)
        );
        names.push(ByteArray::from(name.into_bytes()));
        countries.push(ByteArray::from(country(&mut numbers)));
        depths.push(depth(&mut numbers));
    }
    let properties = WriterProperties::builder()
        .set_compression(Compression::GZIP(GzipLevel::default()))
        .set_created_by("weir sample data".to_owned())
        .build();
    let schema = Arc::new(parse_message_type(SCHEMA)?);
    let mut file = SerializedFileWriter::new(Vec::new(), schema, Arc::new(properties))?;
    let mut group = file.next_row_group()?;
    if let Some(mut column) = group.next_column()? {
        column.typed::<Int64Type>().write_batch(&ids, None, None)?;
        column.close()?;
    }
    for texts in [&names, &countries] {
        if let Some(mut column) = group.next_column()? {
            column
                .typed::<ByteArrayType>()
                .write_batch(texts, None, None)?;
            column.close()?;
        }
    }
    if let Some(mut column) = group.next_column()? {
        column
            .typed::<DoubleType>()
            .write_batch(&depths, None, None)?;
        column.close()?;
    }
    group.close()?;
    Ok(Bytes::from(file.into_inner()?))
}

fn country(numbers: &mut Numbers) -> &'static str {
    let mut number = numbers.below(1_000);
    for (country, share) in COUNTRIES {
        match number.checked_sub(*share) {
            None => return country,
            Some(rest) => number = rest,
        }
    }
    REMAINDER_COUNTRY
}

/// A depth in metres with one decimal: the minimum of three random numbers, because most lakes are shallow.
fn depth(numbers: &mut Numbers) -> f64 {
    let least = (0..3).map(|_| numbers.below(2_500)).min().unwrap_or(0);
    f64::from(u16::try_from(least + 1).expect("it is at most 2,500")) / 10.0
}
