"""Reads ranges and metaranges written by the tests with RocksDB, and checks that every table matches its name.

  sstables.py FOLDER     (tables under their ids)

RocksDB ingests each file, verifies its blocks and returns its records. From the records, this script computes the
expected properties, and the id, which must be the file's name. It uses no code of Weir and parses properties itself.
The entries of a metarange must match those of its ranges that are in the folder.
"""
import hashlib, os, re, struct, sys, tempfile

from rocksdict import IngestExternalFileOptions, Options, Rdict

MAGIC = bytes.fromhex("f7cff485b741e288")
FOOTER = 53
WORKERS = os.cpu_count() or 1
# Properties that the writer computes. All others were passed to it and are part of the id.
COUNTED = {"min_key", "max_key", "count", "estimated_size_bytes"}


class Wrong(Exception):
    pass


def must(holds, what):
    if not holds:
        raise Wrong(what)


def uvarint(b, at):
    value = shift = 0
    while True:
        byte = b[at]
        value, shift, at = value | (byte & 0x7F) << shift, shift + 7, at + 1
        if byte < 0x80:
            return value, at


def block(b, offset, size):
    """Returns keys and values of an uncompressed block."""
    must(b[offset + size] == 0, "a block of properties is compressed")
    payload = b[offset:offset + size]
    end = size - 4 - 4 * struct.unpack("<I", payload[-4:])[0]
    at, key, entries = 0, b"", {}
    while at < end:
        shared, at = uvarint(payload, at)
        unshared, at = uvarint(payload, at)
        length, at = uvarint(payload, at)
        key = key[:shared] + payload[at:at + unshared]
        entries[key] = payload[at + unshared:at + unshared + length]
        at += unshared + length
    return entries


def handle(b, at):
    """Returns offset and size of a block."""
    offset, at = uvarint(b, at)
    size, at = uvarint(b, at)
    return offset, size


def properties(b):
    """Returns the properties of a table."""
    must(b[-8:] == MAGIC and b[-FOOTER] == 1 and b[-12:-8] == b"\2\0\0\0", "not a RocksDB table of version 2 with CRC-32C")
    metaindex = block(b, *handle(b, len(b) - FOOTER + 1))
    must(list(metaindex) == [b"rocksdb.properties"], f"unexpected meta blocks: {list(metaindex)}")
    return {k.decode(): v for k, v in block(b, *handle(metaindex[b"rocksdb.properties"], 0)).items()}


def frame(value):
    """Splits a stored value into its two parts, which are prefixed by zig-zag encoded lengths."""
    parts, at = [], 0
    for _ in range(2):
        length, at = uvarint(value, at)
        must(length % 2 == 0 and at + length // 2 <= len(value), "a value is truncated")
        parts.append(value[at:at + length // 2])
        at += length // 2
    must(at == len(value), "extra bytes after a value")
    return parts


def fields(message):
    """Parses a protobuf message that contains numbers and bytes."""
    at, found = 0, {}
    while at < len(message):
        tag, at = uvarint(message, at)
        value, at = uvarint(message, at)
        if tag & 7 == 2:
            value, at = message[at:at + value], at + value
        found[tag >> 3] = value
    return found


def identity(records, given):
    """Computes the id from the records in order, followed by the given properties in the encoding of identities."""
    h = hashlib.sha256()
    for key, value in records:
        for part in (key, value):
            h.update(b"%d" % len(part) + part + b"|")
    number = lambda n: b"\x02\x08" + n.to_bytes(8, "big")
    text = lambda t: b"\x01" + number(len(t)) + t
    h.update(b"\x04" + number(len(given)) + b"".join(text(k.encode()) + text(v) for k, v in sorted(given.items())))
    return h.hexdigest()


def read(db, name, path):
    """Returns the records as RocksDB reads them."""
    family = db.create_column_family(name, Options(raw_mode=True))
    family.ingest_external_file([path], IngestExternalFileOptions())
    records, at = [], family.iter()
    at.seek_to_first()
    while at.valid():
        records.append((at.key(), at.value()))
        at.next()
    file, = family.live_files()
    must(file["num_entries"] == len(records) and file["num_deletions"] == 0, f"RocksDB counts other entries: {file}")
    del at, family
    db.drop_column_family(name)
    return records


def check_metarange(records, folder):
    last = None
    for key, value in records:
        id, data = frame(value)
        must(re.fullmatch(rb"[0-9a-f]{64}", id), f"invalid range name {id}")
        entry = fields(data)
        low, high = entry.get(1, b""), entry.get(2, b"")
        must(key == high and low <= high and (last is None or last < low), f"range {id.decode()} is out of place")
        last = high
        path = os.path.join(folder, id.decode())
        if os.path.exists(path):
            given = properties(open(path, "rb").read())
            of_range = (given["type"], given["min_key"], given["max_key"], int(given["estimated_size_bytes"]), int(given["count"]))
            must(of_range == (b"ranges", low, high, entry.get(3, 0), entry.get(4, 0)), f"range {id.decode()} does not match its entry")


def check(db, folder, name):
    path = os.path.join(folder, name)
    stored = properties(open(path, "rb").read())
    # RocksDB does not ingest empty tables.
    records = read(db, name, path) if stored["count"] != b"0" else []
    given = {k: v for k, v in stored.items() if not k.startswith("rocksdb.") and k not in COUNTED}
    must(identity(records, given) == name, f"the id computed from the records and {given} is {identity(records, given)}")
    must(given.get("type") in (b"ranges", b"metaranges"), f"type {given.get('type')}")
    keys = [key for key, _ in records]
    must(int(stored["count"]) == len(keys) == uvarint(stored["rocksdb.num.entries"], 0)[0], "the count is wrong")
    must((stored["min_key"], stored["max_key"]) == ((keys[0], keys[-1]) if keys else (b"", b"")), "the bounds are wrong")
    if given["type"] == b"metaranges" and "entity" not in given:
        check_metarange(records, folder)
    else:
        for _, value in records:
            must(frame(value)[0], "a value without identity")
    return given["type"].decode()


def check_all(folder, names, say):
    # Use memory if possible, because none of this is kept.
    place = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    counts, wrong = {}, 0
    with tempfile.TemporaryDirectory(dir=place) as scratch:
        db = Rdict(os.path.join(scratch, "db"), Options(raw_mode=True))
        for name in names:
            say(name)
            try:
                kind = check(db, folder, name)
                counts[kind] = counts.get(kind, 0) + 1
            except Exception as e:
                wrong += 1
                print(f"{name}: {e}")
        db.close()
    print(f"read back with RocksDB: {counts}; {wrong} wrong")
    return 1 if wrong else 0


def main():
    folder = sys.argv[1]
    names = sorted(n for n in os.listdir(folder) if re.fullmatch("[0-9a-f]{64}", n))
    if not names:
        sys.exit(f"no tables in {folder}: the tests saved none")
    # Run in separate processes, because RocksDB aborts the process on some invalid tables.
    workers = [start(folder, names[at::WORKERS]) for at in range(min(WORKERS, len(names)))]
    ended = [end(*worker) for worker in workers]
    sys.exit(0 if all(ended) else 1)


def start(folder, names):
    at, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(at)
        status = check_all(folder, names, lambda name: os.write(writer, name.encode()))
        sys.stdout.flush()
        os._exit(status)
    os.close(writer)
    return child, at


def end(child, at):
    """Waits for the process. Returns whether it found no errors."""
    last = b""
    while piece := os.read(at, 65536):
        last = (last + piece)[-64:]
    os.close(at)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        print(f"{last.decode()}: RocksDB crashed")
    return status == 0


main()
