"""Just enough of GGUF version 3 to take a small file apart and write it again, for tests."""
import struct

import numpy

SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?",
           10: "Q", 11: "q", 12: "d"}
STRING, ARRAY = 8, 9
F32 = 0
ALIGNMENT = 32


def _read_string(f):
    return f.read(struct.unpack("<Q", f.read(8))[0])


def _read_value(f, kind):
    if kind == STRING:
        return _read_string(f)
    if kind == ARRAY:
        element, n = struct.unpack("<IQ", f.read(12))
        return element, [_read_value(f, element) for _ in range(n)]
    fmt = "<" + SCALARS[kind]
    return struct.unpack(fmt, f.read(struct.calcsize(fmt)))[0]


def _value(kind, v):
    if kind == STRING:
        return struct.pack("<Q", len(v)) + v
    if kind == ARRAY:
        element, items = v
        return struct.pack("<IQ", element, len(items)) + b"".join(_value(element, x) for x in items)
    return struct.pack("<" + SCALARS[kind], v)


def read(path):
    """(meta, tensors): meta {key: (kind, value)}; tensors {name: f32 array, outermost dimension
    first}. Files of F32 tensors only."""
    with open(path, "rb") as f:
        magic, version, n_tensors, n_meta = struct.unpack("<4sIQQ", f.read(24))
        assert magic == b"GGUF" and version == 3
        meta = {}
        for _ in range(n_meta):
            key = _read_string(f).decode()
            kind = struct.unpack("<I", f.read(4))[0]
            meta[key] = kind, _read_value(f, kind)
        infos = []
        for _ in range(n_tensors):
            name = _read_string(f).decode()
            n_dims = struct.unpack("<I", f.read(4))[0]
            dims = struct.unpack(f"<{n_dims}Q", f.read(8 * n_dims))
            kind, offset = struct.unpack("<IQ", f.read(12))
            assert kind == F32
            infos.append((name, dims, offset))
        start = -(-f.tell() // ALIGNMENT) * ALIGNMENT
        tensors = {}
        for name, dims, offset in infos:
            f.seek(start + offset)
            count = int(numpy.prod(dims))
            tensors[name] = numpy.frombuffer(f.read(4 * count), "<f4").reshape(dims[::-1])
    return meta, tensors


def write(path, meta, tensors):
    with open(path, "wb") as f:
        f.write(struct.pack("<4sIQQ", b"GGUF", 3, len(tensors), len(meta)))
        for key, (kind, v) in meta.items():
            f.write(_value(STRING, key.encode()) + struct.pack("<I", kind) + _value(kind, v))
        offset = 0
        for name, a in tensors.items():
            dims = a.shape[::-1]
            f.write(_value(STRING, name.encode()))
            f.write(struct.pack(f"<I{len(dims)}QIQ", len(dims), *dims, F32, offset))
            offset += -(-a.nbytes // ALIGNMENT) * ALIGNMENT
        for a in tensors.values():
            f.write(b"\0" * (-f.tell() % ALIGNMENT))
            f.write(numpy.ascontiguousarray(a, "<f4").tobytes())
        f.write(b"\0" * (-f.tell() % ALIGNMENT))
