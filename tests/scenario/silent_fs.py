"""A mounted FUSE file system with one file, that can be looked at, and opened; to all else it says nothing, for ever.

Just enough of the kernel's protocol (include/uapi/linux/fuse.h, version 7.31). Needs root and /dev/fuse.
"""

import contextlib
import ctypes
import os
import signal
import struct
import unittest

MS_NOSUID_NODEV = 6
MNT_DETACH = 2
LOOKUP, GETATTR, OPEN, INIT, OPENDIR, READDIR, ACCESS = 1, 3, 14, 26, 27, 28, 34
ROOT_NODE, FILE_NODE = 1, 2

HEAD = struct.Struct("<IIQQIIII")   # fuse_in_header: length, opcode, unique, node, uid, gid, pid, padding
REPLY = struct.Struct("<IiQ")       # fuse_out_header: length, error, unique
ATTR = struct.Struct("<6Q10I")      # fuse_attr
ENTRY = struct.Struct("<4Q2I")      # fuse_entry_out, before its attributes
INIT_OUT = struct.Struct("<4I2H2I2H8I")
OPEN_OUT = struct.Struct("<Q2I")
ATTR_OUT = struct.Struct("<Q2I")    # fuse_attr_out, before the attributes
READ_IN = struct.Struct("<2Q")      # of fuse_read_in: handle, offset
DIRENT = struct.Struct("<2Q2I")     # fuse_dirent, before the name: node, offset of the next, length, type


def _answer(opcode, node, asked):
    """What to say to a request; None for nothing, for ever."""
    if opcode == INIT:
        return INIT_OUT.pack(7, 31, 0, 0, 1, 1, 4096, 1, 1, 0, *[0] * 8)
    if opcode == LOOKUP:
        attributes = ATTR.pack(FILE_NODE, 4096, 8, 0, 0, 0, 0, 0, 0, 0o100444, 1, 0, 0, 0, 4096, 0)
        return ENTRY.pack(FILE_NODE, 0, 3600, 3600, 0, 0) + attributes
    if opcode == GETATTR:
        mode = 0o40755 if node == ROOT_NODE else 0o100444
        return ATTR_OUT.pack(3600, 0, 0) + ATTR.pack(node, 4096, 8, 0, 0, 0, 0, 0, 0, mode, 1, 0, 0, 0, 4096, 0)
    if opcode == ACCESS:
        return b""
    if opcode == READDIR:
        return b"" if READ_IN.unpack_from(asked)[1] > 0 else DIRENT.pack(FILE_NODE, 1, 4, 8) + b"file".ljust(8, b"\0")
    if opcode in (OPEN, OPENDIR):
        return OPEN_OUT.pack(0, 0, 0)
    return None


def _serve(fuse):
    while True:
        request = os.read(fuse, 1 << 16)
        _, opcode, unique, node, *_ = HEAD.unpack_from(request)
        answer = _answer(opcode, node, request[HEAD.size:])
        if answer is not None:
            os.write(fuse, REPLY.pack(REPLY.size + len(answer), 0, unique) + answer)


class SilentFile:
    """Mounted below `directory`. `fd` is open on its "file", if `opened`, and closing that would wait. end() answers all
    with an error."""

    def __init__(self, directory, opened=True):
        self.libc = ctypes.CDLL(None, use_errno=True)
        self.path = os.path.join(directory, "silent").encode()
        self.server = self.fd = -1
        try:
            fuse = os.open("/dev/fuse", os.O_RDWR)
        except OSError as e:
            raise unittest.SkipTest("/dev/fuse: %s" % e.strerror)
        os.mkdir(self.path)
        options = b"fd=%d,rootmode=40755,user_id=0,group_id=0,allow_other" % fuse
        if self.libc.mount(b"silent", self.path, b"fuse", MS_NOSUID_NODEV, options) != 0:
            why = os.strerror(ctypes.get_errno())
            os.close(fuse)
            os.rmdir(self.path)
            raise unittest.SkipTest("mounting a FUSE file system: " + why)
        self.server = os.fork()
        if self.server == 0:
            try:
                _serve(fuse)
            finally:
                os._exit(0)
        os.close(fuse)
        if opened:
            self.fd = os.open(os.path.join(self.path, b"file"), os.O_RDONLY)

    def end(self):
        """With the server goes its end of the connection: what waits for an answer fails."""
        os.kill(self.server, signal.SIGKILL)
        os.waitpid(self.server, 0)
        with contextlib.suppress(OSError):  # closing tells the file system, which is gone
            os.close(self.fd)
        self.libc.umount2(self.path, MNT_DETACH)
        os.rmdir(self.path)
