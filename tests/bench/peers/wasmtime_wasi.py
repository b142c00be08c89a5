"""Runs in a venv with PyPI's wasmtime: times _start of a WASI program in this process. Prints one JSON object.

wasmtime_wasi.py COUNT DIR FILE.wasm [ARGUMENT...]: DIR is the program's /w, if it is not empty; `output` is what it
printed last.
"""

import importlib.metadata
import json
import os
import sys
import tempfile
import time

import wasmtime


def main():
    count, directory, *arguments = sys.argv[1:]
    config = wasmtime.Config()
    config.cache = True  # of compiled modules, in the user's cache
    engine = wasmtime.Engine(config)
    linker = wasmtime.Linker(engine)
    linker.define_wasi()
    module = wasmtime.Module.from_file(engine, arguments[0])
    seconds = []
    with tempfile.NamedTemporaryFile() as sink:
        for _ in range(int(count)):
            began = time.perf_counter()
            store = wasmtime.Store(engine)
            wasi = wasmtime.WasiConfig()
            wasi.argv = arguments
            wasi.stdout_file = sink.name
            if directory:
                wasi.preopen_dir(directory, "/w")
            store.set_wasi(wasi)
            start = linker.instantiate(store, module).exports(store)["_start"]
            try:
                start(store)
            except wasmtime.ExitTrap as end:
                if end.code != 0:
                    raise
            seconds.append(time.perf_counter() - began)
        with open(sink.name, encoding="utf-8") as f:
            output = f.read()
    print(json.dumps({"version": importlib.metadata.version("wasmtime"), "whole_us": [s * 1e6 for s in seconds],
                      "output": output}))


if __name__ == "__main__":
    main()
