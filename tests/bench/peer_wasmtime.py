"""Runs in a venv with PyPI's wasmtime: times _start of a WASI program in this process. Prints one JSON object.

peer_wasmtime.py COUNT FILE.wasm [DIR]: with DIR, it is the program's /w, and what it printed last is told too.
"""

import importlib.metadata
import json
import os
import sys
import time

import wasmtime


def main():
    count, path = int(sys.argv[1]), sys.argv[2]
    directory = sys.argv[3] if len(sys.argv) > 3 else None
    engine = wasmtime.Engine()
    linker = wasmtime.Linker(engine)
    linker.define_wasi()
    module = wasmtime.Module.from_file(engine, path)
    sink = os.path.join(directory, "stdout") if directory else os.devnull
    seconds = []
    for _ in range(count):
        began = time.perf_counter()
        store = wasmtime.Store(engine)
        wasi = wasmtime.WasiConfig()
        wasi.stdout_file = sink
        if directory:
            wasi.preopen_dir(directory, "/w")
        store.set_wasi(wasi)
        start = linker.instantiate(store, module).exports(store)["_start"]
        entered = time.perf_counter()
        try:
            start(store)
        except wasmtime.ExitTrap as end:
            if end.code != 0:
                raise
        ended = time.perf_counter()
        seconds.append((ended - entered, ended - began))
    said = {"version": importlib.metadata.version("wasmtime"), "start_us": [s[0] * 1e6 for s in seconds],
            "whole_us": [s[1] * 1e6 for s in seconds]}
    if directory:
        with open(sink, encoding="utf-8") as f:
            said["output"] = f.read()
    print(json.dumps(said))


if __name__ == "__main__":
    main()
