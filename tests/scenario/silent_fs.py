"""A mounted FUSE file system with one file, that answers until the file is open and then says nothing any more.

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
LOOKUP, OPEN, INIT = 1, 14, 26
FILE_NODE = 2

HEAD = struct.Struct("<IIQQIIII")   # fuse_in_header: length, opcode, unique, node, uid, gid, pid, padding
REPLY = struct.Struct("<IiQ")       # fuse_out_header: length, error, unique
ATTR = struct.Struct("<6Q10I")      # fuse_attr
ENTRY = struct.Struct("<4Q2I")      # fuse_entry_out, before its attributes
INIT_OUT = struct.Struct("<4I2H2I2H8I")
OPEN_OUT = struct.Struct("<Q2I")


def _answer(opcode):
    """What to say to a request; None for nothing, for ever."""
    if opcode == INIT:
        return INIT_OUT.pack(7, 31, 0, 0, 1, 1, 4096, 1, 1, 0, *[0] * 8)
    if opcode == LOOKUP:
        attributes = ATTR.pack(FILE_NODE, 4096, 8, 0, 0, 0, 0, 0, 0, 0o100444, 1, 0, 0, 0, 4096, 0)
        return ENTRY.pack(FILE_NODE, 0, 3600, 3600, 0, 0) + attributes
    if opcode == OPEN:
        return OPEN_OUT.pack(0, 0, 0)
    return None


def _serve(fuse):
    while True:
        request = os.read(fuse, 1 << 16)
        _, opcode, unique, *_ = HEAD.unpack_from(request)
        answer = _answer(opcode)
        if answer is not None:
            os.write(fuse, REPLY.pack(REPLY.size + len(answer), 0, unique) + answer)


class SilentFile:
    """Mounted below `directory`. `fd` is open: only what opening it takes was answered. end() answers all with an error."""

    def __init__(self, directory):
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
        self.fd = os.open(os.path.join(self.path, b"file"), os.O_RDONLY)

    def end(self):
        """With the server goes its end of the connection: what waits for an answer fails."""
        os.kill(self.server, signal.SIGKILL)
        os.waitpid(self.server, 0)
        with contextlib.suppress(OSError):  # closing tells the file system, which is gone
            os.close(self.fd)
        self.libc.umount2(self.path, MNT_DETACH)
        os.rmdir(self.path)
