"""Every limit: a run at it, and a run one past it."""

import os

import harness
import wasm

# Imports for modules made by hand.
CLOCK = [("wasi_snapshot_preview1", "clock_time_get", wasm.function_type([wasm.I32, wasm.I64, wasm.I32], [wasm.I32]))]
PAGE = 65536


def clock_calls(n):
    """A module that calls clock_time_get exactly n times."""
    one = b"\x41\x01\x42\x00\x41\x00\x10\x00\x1a"
    return wasm.module(one * n, CLOCK, memory=1)


class Limits(harness.Scenario):
    def assert_limit(self, result, name):
        self.assertEqual((result["status"], result.get("limit")), ("limit", name), result)

    def test_wall_time(self):
        result = self.run_guest("loop", limits={"wall_ms": 1000, "cpu_ms": 10000})
        self.assert_limit(result, "wall_ms")
        self.assertEqual(result["stdout"], "looping\n")
        self.assertGreaterEqual(result["usage"]["wall_us"], 1000000)

    def test_wall_time_while_asleep(self):
        result = self.run_guest("sleep", 600000, limits={"wall_ms": 1000})
        self.assert_limit(result, "wall_ms")
        self.assertEqual(result["stdout"], "sleeping\n")

    def test_wall_time_while_waiting_for_input(self):
        request = self.client.start("run", self.params("cat", stream=True, stdin={"stream": True},
                                                       limits={"wall_ms": 50}))
        self.assert_limit(self.client.finish(request), "wall_ms")

    def test_wall_time_within_one_bulk_instruction(self):
        result = self.run_guest(512, wasm=harness.guest("fill"),
                                limits={"wall_ms": 50, "memory_bytes": 1 << 30})
        self.assert_limit(result, "wall_ms")

    def test_a_run_within_its_wall_time_ends_by_itself(self):
        self.assert_exited(self.run_guest("sleep", 5, limits={"wall_ms": 60000}))

    def test_processor_time(self):
        result = self.run_guest("loop", limits={"cpu_ms": 50, "wall_ms": 600000})
        self.assert_limit(result, "cpu_ms")

    def test_processor_time_is_not_used_up_asleep(self):
        self.assert_exited(self.run_guest("sleep", 200, limits={"cpu_ms": 150, "wall_ms": 60000}))

    def test_memory_at_the_limit(self):
        pages = wasm.module(b"", memory=100)
        self.assert_exited(self.run_guest(wasm=pages, limits={"memory_bytes": 100 * PAGE}))

    def test_memory_one_page_past_the_limit_at_the_start(self):
        pages = wasm.module(b"", memory=100)
        self.assert_limit(self.run_guest(wasm=pages, limits={"memory_bytes": 100 * PAGE - 1}), "memory_bytes")

    def test_growing_to_the_limit_and_one_page_past_it(self):
        # _start: traps when memory.grow(n) says -1.
        def grow(n):
            return wasm.module(b"\x41" + wasm.leb(n) + b"\x40\x00\x41\x7f\x46\x04\x40\x00\x0b", memory=1)
        limits = {"memory_bytes": 64 * PAGE}
        self.assert_exited(self.run_guest(wasm=grow(63), limits=limits))
        self.assertEqual(self.run_guest(wasm=grow(64), limits=limits)["status"], "trapped")

    def test_a_refused_allocation_is_the_guests_to_handle(self):
        result = self.run_guest("hog", limits={"memory_bytes": 32 << 20})
        self.assert_exited(result)
        self.assertRegex(result["stdout"], "^(2[0-9]|3[01]) MiB\n$")
        self.assertLessEqual(result["usage"]["peak_memory_bytes"], 32 << 20)

    def test_output_at_the_limit(self):
        result = self.run_guest("flood", 1024, limits={"output_bytes": 1024})
        self.assert_exited(result)
        self.assertEqual((len(result["stdout"]), result["truncated"]["stdout"]), (1024, False))

    def test_output_past_the_limit_is_cut_and_flagged(self):
        result = self.run_guest("flood", 1025, limits={"output_bytes": 1024})
        self.assert_exited(result)
        self.assertEqual((len(result["stdout"]), result["truncated"]["stdout"], result["truncated"]["stderr"]),
                         (1024, True, False))
        self.assertEqual(result["usage"]["stdout_bytes"], 1025)

    def test_each_stream_has_its_own_output_limit(self):
        result = self.run_guest("flood-errors", 1025, limits={"output_bytes": 1024})
        self.assertEqual((len(result["stderr"]), result["truncated"]["stderr"]), (1024, True))

    def test_output_past_the_limit_ends_the_run_when_policy_says_so(self):
        at = self.run_guest("flood", 1024, limits={"output_bytes": 1024}, policy={"output": "end"})
        self.assert_exited(at)
        past = self.run_guest("flood", 1025, limits={"output_bytes": 1024}, policy={"output": "end"})
        self.assert_limit(past, "output_bytes")

    def test_streamed_output_is_cut_too(self):
        request = self.client.start("run", self.params("flood", 200000, stream=True, limits={"output_bytes": 100000}))
        result = self.client.finish(request)
        self.assert_exited(result)
        self.assertEqual((len(self.client.output()), result["truncated"]["stdout"]), (100000, True))

    def test_host_calls(self):
        self.assert_exited(self.run_guest(wasm=clock_calls(100), limits={"host_calls": 100}))
        self.assert_limit(self.run_guest(wasm=clock_calls(101), limits={"host_calls": 100}), "host_calls")

    def test_table_elements(self):
        table = wasm.module(b"", table=1000)
        self.assert_exited(self.run_guest(wasm=table, limits={"table_elements": 1000}))
        self.assert_limit(self.run_guest(wasm=table, limits={"table_elements": 999}), "table_elements")

    def test_fuel(self):
        work = wasm.module(b"\x41\x00\x1a" * 1000)
        used = self.run_guest(wasm=work, limits={"fuel": 1000000})["usage"]["fuel"]
        self.assertGreater(used, 1000)
        self.assert_exited(self.run_guest(wasm=work, limits={"fuel": used}))
        # The engine looks at a loop's head and a function's start, so one past the limit shows at the next of those.
        twice = wasm.module(b"\x41\x00\x1a" * 1000 + b"\x03\x40\x0b")
        self.assert_limit(self.run_guest(wasm=twice, limits={"fuel": used - 1}), "fuel")
        loop = wasm.module(b"\x03\x40\x0c\x00\x0b")
        self.assert_limit(self.run_guest(wasm=loop, limits={"fuel": 10000}), "fuel")

    def test_fuel_is_the_same_each_time(self):
        policy = {"clock": "fixed", "random": "seeded"}
        runs = [self.run_guest("hello", limits={"fuel": 10**9}, policy=policy)["usage"]["fuel"] for _ in range(2)]
        self.assertEqual(runs[0], runs[1])

    def test_arguments(self):
        at = ["x" * 99] * 10  # 1,000 bytes, each with the byte behind it
        one_more = at[:-1] + ["x" * 100]
        limits = {"args_bytes": 1000}
        params = self.params(wasm=wasm.module(b""), limits=limits)
        self.assert_exited(self.client.call("run", dict(params, args=at)))
        self.assert_rpc_error("denied", "run", dict(params, args=one_more))

    def test_environment(self):
        params = self.params(wasm=wasm.module(b""), limits={"env_bytes": 100})
        self.assert_exited(self.client.call("run", dict(params, env={"A": "x" * 97})))
        self.assert_rpc_error("denied", "run", dict(params, env={"A": "x" * 98}))

    def test_input(self):
        params = self.params(wasm=wasm.module(b""), limits={"stdin_bytes": 100})
        self.assert_exited(self.client.call("run", dict(params, stdin="x" * 100)))
        self.assert_rpc_error("denied", "run", dict(params, stdin="x" * 101))

    def test_a_stated_maximum_cannot_be_passed(self):
        error = self.assert_rpc_error("invalid_params", "run", self.params("hello", limits={"wall_ms": 3600001}))
        self.assertIn("wall_ms", error.message)

    def test_unknown_limit_gets_the_nearest_name(self):
        error = self.assert_rpc_error("invalid_params", "run", self.params("hello", limits={"wall_sm": 5}))
        self.assertIn("limits.wall_sm", error.message)
        self.assertIn("wall_ms", error.message)

    # What a run was given, and then: limit, its value, host call, phase, and the end of the sentence.
    ATTRIBUTED = {
        "in its own code": (("loop",), {}, {"wall_ms": 1000}, {},
                            ("wall_ms", 1000, None, "running", "1 s, in its own code")),
        "processor time": (("loop",), {}, {"cpu_ms": 50, "wall_ms": 600000}, {},
                           ("cpu_ms", 50, None, "running", "in its own code")),
        "asleep": (("sleep", 600000), {}, {"wall_ms": 1000}, {},
                   ("wall_ms", 1000, "poll_oneoff", "running", "during poll_oneoff")),
        "a call too many": ((), {"wasm": clock_calls(101)}, {"host_calls": 100}, {},
                            ("host_calls", 100, "clock_time_get", "running", "was 100, during clock_time_get")),
        "output": (("flood", 1025), {}, {"output_bytes": 1024}, {"output": "end"},
                   ("output_bytes", 1024, "fd_write", "running", "during fd_write")),
        "memory at the start": ((), {"wasm": wasm.module(b"", memory=100)}, {"memory_bytes": 99 * PAGE}, {},
                                ("memory_bytes", 99 * PAGE, None, "instantiating", "while its module was instantiated")),
        "a table": ((), {"wasm": wasm.module(b"", table=1000)}, {"table_elements": 999}, {},
                    ("table_elements", 999, None, "instantiating", "while its module was instantiated")),
        "fuel": (("loop",), {}, {"fuel": 1000000}, {}, ("fuel", 1000000, None, "running", "in its own code")),
    }

    def test_each_limit_says_its_value_and_where_it_was_reached(self):
        for name, (args, module, limits, policy, want) in self.ATTRIBUTED.items():
            with self.subTest(name):
                r = self.run_guest(*args, **module, limits=limits, policy=policy)
                self.assertEqual((r["limit"], r["limit_value"], r.get("during"), r["phase"]), want[:4], r)
                self.assertTrue(r["reason"].endswith(want[4]), r["reason"])

    def test_a_trap_says_how_far_the_run_had_come(self):
        r = self.run_guest("trap")
        self.assertEqual((r["status"], r["phase"], r.get("during")), ("trapped", "running", None))
        self.assertNotIn("phase", self.run_guest("hello"))

    def test_files_are_measured(self):
        mount = {"fs": [{"mount": "/w", "kind": "inline", "rights": ["read", "create"]}]}
        usage = self.run_guest(wasm=harness.guest("copy"), files={"/w/in": "x" * 10000}, policy=mount)["usage"]
        self.assertEqual(usage["fs_nodes"], 3)  # the mount and two files
        self.assertGreaterEqual(usage["fs_bytes"], 10000)
        self.assertLess(usage["fs_bytes"], 10000 + 8 * 4096)
        usage = self.run_guest("hello")["usage"]
        self.assertEqual((usage["fs_bytes"], usage["fs_nodes"]), (0, 0))

    def test_file_space_at_its_limit_and_one_byte_less(self):
        def copied(**limits):
            r = self.run_guest(wasm=harness.guest("copy"), files={"/w/in": "x" * 10000}, limits=limits or None,
                               policy={"fs": [{"mount": "/w", "kind": "inline", "rights": ["read", "create"]}]})
            return r["usage"]["fs_bytes"], r["usage"]["fs_nodes"], [c["size"] for c in r["changes"]]
        used, nodes, sizes = copied()
        self.assertEqual(sizes, [10000])
        self.assertEqual(copied(fs_bytes=used, fs_nodes=nodes), (used, nodes, [10000]))
        less, _, sizes = copied(fs_bytes=used - 1)
        self.assertLess(less, used)
        self.assertLess(sizes[0], 10000)
        self.assertEqual(copied(fs_nodes=nodes - 1)[1:], (nodes - 1, []))


class Ceiling(harness.Scenario):
    """What the operator's ceiling withholds, no request can take."""

    policy = {"version": 1, "limits": {"wall_ms": 100, "memory_bytes": 1 << 20}, "args": True, "env": ["LANG"],
              "clock": "coarse", "random": "none", "signature": {"module": "required"}}

    def test_limits_of_the_ceiling_win(self):
        result = self.run_guest("loop", limits={"wall_ms": 600000}, env={})
        self.assertEqual((result["status"], result["limit"]), ("limit", "wall_ms"))

    def test_withheld_variable_is_denied_with_layer_and_grant(self):
        params = self.params("env", env={"PATH": "/"})
        error = self.assert_rpc_error("denied", "run", params)
        self.assertIn("PATH", error.message)
        self.assertIn("ceiling", str(error.data))

    def test_granted_variable_arrives(self):
        self.assertEqual(self.run_guest("env", env={"LANG": "C"})["stdout"], "6:LANG=C\n")

    def test_withheld_random_is_a_denial_that_names_the_ceiling(self):
        result = self.run_guest("random")
        self.assertEqual(result["exit_code"], 1)
        self.assertIn("ceiling", str(result["denials"]))


class Sizes(harness.Scenario):
    options = ("--module-bytes", "100000", "--request-bytes", "200000", "--request-depth", "20")

    def padded(self, size):
        empty = wasm.module(b"", extra=wasm.custom("pad", b""))
        for pad in range(size - len(empty) - 8, size - len(empty) + 1):
            data = wasm.module(b"", extra=wasm.custom("pad", bytes(pad)))
            if len(data) == size:
                return data
        raise AssertionError("no padding gives %d bytes" % size)

    def test_module_at_the_limit_and_one_past_it(self):
        self.assert_exited(self.run_guest(wasm=self.padded(100000)))
        self.assert_rpc_error("module_too_large", "run", self.params(wasm=self.padded(100001)))

    def test_passed_module_past_the_limit(self):
        data = self.padded(100001)
        params = self.params(wasm=data)
        params["module"] = {"descriptor": 0, "signature": params["module"]["signature"]}
        self.assert_rpc_error("module_too_large", "run", params, fds=[harness.sealed_memfd(data)])

    def line(self, size):
        head, tail = b'{"jsonrpc":"2.0","id":1,"method":"server.info","params":{}', b"}"
        return head + b" " * (size - len(head) - len(tail)) + tail

    def test_request_at_the_limit(self):
        self.assertIn("result", self.client.ask(self.line(200000)))

    def test_request_past_the_limit(self):
        self.client.send_bytes(self.line(200001) + b"\n")
        answer = self.client.receive()
        self.assertEqual(answer["error"]["data"]["name"], "request_too_large")

    def test_request_nested_too_deeply(self):
        deep = b'{"jsonrpc":"2.0","id":1,"method":"server.info","params":{"x":' + b"[" * 20 + b"]" * 20 + b"}}"
        self.assertEqual(self.client.ask(deep)["error"]["data"]["name"], "request_too_deep")
        self.assertIn("result", self.client.ask(b'{"jsonrpc":"2.0","id":2,"method":"server.info"}'))


class Compiling(harness.Scenario):
    """A module that takes long, or much memory, to compile: CPython does for both."""

    options = ("--compile-ms", "100")

    def refused(self):
        data = harness.guest("python")
        fd = harness.sealed_memfd(data)
        self.addCleanup(os.close, fd)
        module = {"descriptor": 0, "signature": self.module(data)["signature"]}
        return self.assert_rpc_error("compile_limit", "run", {"module": module}, fds=[fd])

    def test_past_the_limit_is_refused_and_the_next_module_is_not(self):
        self.refused()
        self.assert_exited(self.run_guest(wasm=wasm.module(b"")))


class CompilingMemory(Compiling):
    options = ("--compile-memory-bytes", str(64 << 20))


if __name__ == "__main__":
    harness.main()
