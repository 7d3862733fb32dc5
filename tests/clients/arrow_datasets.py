"""Writes, moves and deletes datasets with pyarrow, which creates the folders above what it writes."""
import lakefs
import pyarrow
import pyarrow.dataset
import pyarrow.fs
import pyarrow.parquet
from connect import arrow, lakefs_client

REPOSITORY = "arrow-datasets"

repository = lakefs.repository(REPOSITORY, client=lakefs_client()).create(storage_namespace=f"local://{REPOSITORY}")
dev = repository.branch("dev").create(source_reference="main")
files = arrow()
table = pyarrow.table({"year": [2023, 2024, 2024], "depth": [1.5, 2.5, 3.5]})


def rows(folder):
    """Returns the rows of a partitioned dataset, in order of depth."""
    dataset = pyarrow.dataset.dataset(f"{REPOSITORY}/dev/{folder}", filesystem=files, format="parquet", partitioning="hive")
    return dataset.to_table().sort_by("depth").select(["year", "depth"]).to_pylist()


pyarrow.dataset.write_dataset(
    table, f"{REPOSITORY}/dev/written", filesystem=files, format="parquet",
    partitioning=["year"], partitioning_flavor="hive")
pyarrow.parquet.write_to_dataset(table, f"{REPOSITORY}/dev/parquet", partition_cols=["year"], filesystem=files)
assert rows("written") == rows("parquet") == table.to_pylist()

[part] = [f for f in files.get_file_info(pyarrow.fs.FileSelector(f"{REPOSITORY}/dev/written/year=2023")) if f.is_file]
files.move(part.path, f"{REPOSITORY}/dev/moved.parquet")
assert files.get_file_info(part.path).type == pyarrow.fs.FileType.NotFound
assert pyarrow.parquet.read_table(f"{REPOSITORY}/dev/moved.parquet", filesystem=files).num_rows == 1

files.delete_dir(f"{REPOSITORY}/dev/parquet")
assert not [o.path for o in dev.objects(prefix="parquet/")]

try:
    pyarrow.dataset.write_dataset(table, f"{REPOSITORY}/missing/written", filesystem=files, format="parquet")
except OSError as e:
    assert "must start with an existing branch" in str(e), e
else:
    raise AssertionError("a branch that does not exist was written")
