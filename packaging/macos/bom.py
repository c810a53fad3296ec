"""Writes a bill of materials: the list of a package's files that macOS keeps, with mode, owner, size and checksum.

The format is Apple's and unpublished; this is the part of it that its installer and `lsbom` read, as bomutils
(https://github.com/hogliux/bomutils) found it out. Numbers are big-endian.
"""

import struct
import subprocess

LEAF = 4096
DIRECTORY, FILE = 2, 1


class _Store:
    """Numbered blocks, some of them with names. Block 0 is the empty one."""

    def __init__(self):
        self.blocks, self.names = [b""], []

    def add(self, data, name=None):
        self.blocks.append(data)
        if name:
            self.names.append((len(self.blocks) - 1, name))
        return len(self.blocks) - 1

    def tree(self, entries=(), size=LEAF, name=None):
        """A tree of one leaf: pairs of a value's block and a key's."""
        leaf = struct.pack(">HHII", 1, len(entries), 0, 0) + b"".join(struct.pack(">II", *entry) for entry in entries)
        child = self.add(leaf.ljust(size, b"\0"))
        return self.add(struct.pack(">4sIIIIB", b"tree", 1, child, size, len(entries), 0), name)

    def bytes(self):
        body, table = b"", []
        for block in self.blocks:
            table.append((512 + len(body) if block else 0, len(block)))
            body += block
        named = struct.pack(">I", len(self.names))
        for index, name in self.names:
            named += struct.pack(">IB", index, len(name)) + name
        # The second count is that of the free list: two empty entries, as Apple's own files have.
        index = struct.pack(">I", len(table)) + b"".join(struct.pack(">II", *block) for block in table)
        index += struct.pack(">IIIII", 2, 0, 0, 0, 0)
        names_at = 512 + len(body)
        index_at = names_at + len(named)
        used = sum(1 for _, length in table if length)
        head = struct.pack(">8sIIIIII", b"BOMStore", 1, used, index_at, len(index), names_at, len(named))
        return head.ljust(512, b"\0") + body + named + index


def of(root, paths):
    """The bill of everything in `paths` below `root`, and of `root` itself, all owned by root and wheel (0, 0)."""
    paths = sorted([root, *paths], key=lambda path: (len(path.relative_to(root).parts), path))
    if len(paths) > (LEAF - 12) // 8:
        raise ValueError(f"{len(paths)} files are more than one leaf of a bill holds")
    numbers = {path: number for number, path in enumerate(paths, 1)}
    store = _Store()
    store.add(struct.pack(">III", 1, len(paths), 0), b"BomInfo")
    entries = []
    for path, number in numbers.items():
        stat = path.stat()
        kind, size, sum = DIRECTORY, 0, 0
        if path.is_file():
            kind, size = FILE, stat.st_size
            sum = int(subprocess.run(["cksum", path], stdout=subprocess.PIPE, check=True).stdout.split()[0])
        facts = struct.pack(">BBHHIIIIBII", kind, 1, 3, stat.st_mode, 0, 0, int(stat.st_mtime), size, 1, sum, 0)
        value = store.add(struct.pack(">II", number, store.add(facts)))
        parent, name = (0, b".") if path == root else (numbers[path.parent], path.name.encode())
        entries.append(((parent, name), value, store.add(struct.pack(">I", parent) + name + b"\0")))
    entries.sort()
    store.tree([(value, key) for _, value, key in entries], name=b"Paths")
    store.tree(name=b"HLIndex")
    store.add(struct.pack(">IIIB", 1, store.tree(size=128), 0, 0), b"VIndex")
    store.tree(name=b"Size64")
    return store.bytes()
