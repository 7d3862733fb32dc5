//! Sorted string tables: the file format of ranges and metaranges.
