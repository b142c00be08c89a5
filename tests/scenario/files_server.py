"""A server of a directory by base/files.h, in Python: says what it is told to, honest or not."""

import hashlib
import os
import socket
import stat
import struct
import threading

LIST, STAT, READ, DIGEST, ENTRIES, NODE, DATA, DONE = 1, 2, 3, 4, 10, 11, 12, 13
OK, MISSING, DENIED, KIND, CHANGED, OUTSIDE, LIMIT = range(7)
PART = 65520
KINDS = {stat.S_IFREG: 1, stat.S_IFDIR: 2, stat.S_IFLNK: 3, stat.S_IFIFO: 4, stat.S_IFSOCK: 5, stat.S_IFCHR: 6,
         stat.S_IFBLK: 7}


def version(st):
    return struct.pack("<QQQqq", st.st_dev, st.st_ino, st.st_size, st.st_mtime_ns, st.st_ctime_ns)


class FilesServer:
    """Serves `root` until it is closed, or `lie(type, path)` returns packets to be said instead, or False to go away."""

    def __init__(self, root, lie=None):
        self.root, self.lie, self.asked = os.fsencode(root), lie, []
        self.mine, self.theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.mine.shutdown(socket.SHUT_RDWR)
        self.thread.join()
        self.mine.close()
        self.theirs.close()

    def serve(self):
        try:
            while packet := self.mine.recv(65536):
                kind, _, self.run = struct.unpack_from("<IIQ", packet)
                known, (offset, length, path_length) = packet[16:56], struct.unpack_from("<QII", packet, 56)
                path = packet[72:72 + path_length]
                self.asked.append((kind, os.fsdecode(path)))
                said = self.lie(kind, os.fsdecode(path)) if self.lie else None
                if said is None:
                    self.answer(kind, os.path.join(self.root, path) if path else self.root, known, offset, length)
                elif said is False:
                    break
                else:
                    for one in said:
                        self.mine.send(one)
        except OSError:
            pass
        self.mine.shutdown(socket.SHUT_RDWR)

    def say(self, kind, payload):
        self.mine.send(struct.pack("<IIQ", kind, len(payload), self.run) + payload)

    def done(self, code=OK, count=0, version=bytes(40), digest=bytes(32)):
        self.say(DONE, struct.pack("<IIQ", code, 0, count) + version + digest)

    def answer(self, kind, path, known, offset, length):
        try:
            st = os.lstat(path)
            if kind == LIST:
                self.list(path)
            elif kind == STAT:
                target = os.readlink(path) if stat.S_ISLNK(st.st_mode) else b""
                self.say(NODE, version(st) + struct.pack("<qIIII", st.st_atime_ns, KINDS[stat.S_IFMT(st.st_mode)],
                                                         len(target), st.st_mode & 0o7777, 0) + target)
                self.done()
            elif any(known) and known != version(st):
                self.done(CHANGED)
            elif kind == READ:
                self.read(path, offset, length)
            else:
                with open(path, "rb") as f:
                    self.done(digest=hashlib.sha256(f.read()).digest(), version=version(st))
        except FileNotFoundError:
            self.done(MISSING)
        except PermissionError:
            self.done(DENIED)

    def list(self, path):
        entries, count = b"", 0
        with os.scandir(path) as names:
            for e in names:
                one = struct.pack("<II", KINDS[stat.S_IFMT(e.stat(follow_symlinks=False).st_mode)], len(e.name)) + e.name
                if len(entries) + len(one) > PART:
                    self.say(ENTRIES, entries)
                    entries = b""
                entries += one
                count += 1
        if entries:
            self.say(ENTRIES, entries)
        self.done(count=count)

    def read(self, path, offset, length):
        fd = os.open(path, os.O_RDONLY)
        try:
            data = os.pread(fd, length, offset)
        finally:
            os.close(fd)
        for at in range(0, len(data), PART):
            self.say(DATA, data[at:at + PART])
        self.done(count=len(data))
