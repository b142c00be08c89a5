"""Times requests to workerd over a socket: workerd_serve.py WORKERD warm|cold COUNT. Prints a JSON list, in us.

warm: one after the other on one connection, each answered by the same worker, which is there already. cold: a workerd is
started for each, and killed when it has answered.
"""

import json
import os
import socket
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
REQUEST = b"GET / HTTP/1.1\r\nHost: hello\r\n\r\n"
HELLO = b"hello from inside the brig\n"
WARM_UP = 100  # requests that are not counted


class Workerd:
    """One, which takes connections at `path`; they wait until it can."""

    def __init__(self, program, directory):
        self.path = os.path.join(directory, "s")
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(self.path)
            listener.listen()
            self.process = subprocess.Popen(
                [program, "serve", "--socket-fd=http=%d" % listener.fileno(), os.path.join(HERE, "workerd.capnp")],
                pass_fds=[listener.fileno()], stdout=subprocess.DEVNULL)

    def connect(self):
        client = socket.socket(socket.AF_UNIX)
        client.settimeout(60)
        client.connect(self.path)
        return client

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        os.unlink(self.path)


def ask(client):
    client.sendall(REQUEST)
    answer = b""
    while not answer.endswith(HELLO):
        more = client.recv(65536)
        if not more:
            raise RuntimeError("workerd closed the connection after %r" % answer)
        answer += more
    if not answer.startswith(b"HTTP/1.1 200"):
        raise RuntimeError(repr(answer))


def warm(program, directory, count):
    with Workerd(program, directory) as server, server.connect() as client:
        for i in range(WARM_UP + count):
            began = time.perf_counter()
            ask(client)
            if i >= WARM_UP:
                yield (time.perf_counter() - began) * 1e6


def cold(program, directory, count):
    for _ in range(count):
        began = time.perf_counter()
        with Workerd(program, directory) as server, server.connect() as client:
            ask(client)
            yield (time.perf_counter() - began) * 1e6


def main():
    program, how, count = sys.argv[1:]
    with tempfile.TemporaryDirectory() as directory:
        print(json.dumps(list({"warm": warm, "cold": cold}[how](program, directory, int(count)))))


if __name__ == "__main__":
    main()
