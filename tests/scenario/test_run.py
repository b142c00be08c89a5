"""A run and its result: what goes in, what comes out, and what it used."""

import base64
import os
import unittest

import harness
import wasm
from harness import b64, guest


class Run(harness.Scenario):
    def test_prints_and_exits(self):
        result = self.run_guest("hello")
        self.assert_exited(result)
        self.assertEqual((result["stdout"], result["stderr"]), ("hello\n", ""))

    def test_exit_code_is_the_guests(self):
        for code in (0, 1, 42, 255):
            with self.subTest(code):
                self.assert_exited(self.run_guest("exit", code), code)

    def test_arguments_arrive_as_sent(self):
        result = self.run_guest("args", "", "two words", "gr\u00fc\u00dfe \u2713")
        lines = result["stdout"].splitlines()
        self.assertEqual(lines[1:], ["4:args", "0:", "9:two words", "11:gr\u00fc\u00dfe \u2713"])

    def test_environment_arrives_as_sent_and_nothing_else(self):
        result = self.run_guest("env", env={"LANG": "C.UTF-8", "EMPTY": ""})
        self.assertEqual(sorted(result["stdout"].splitlines()), ["12:LANG=C.UTF-8", "6:EMPTY="])

    def test_stdin_as_text_and_as_base64(self):
        self.assertEqual(self.run_guest("cat", stdin="gr\u00fc\u00dfe\n")["stdout"], "gr\u00fc\u00dfe\n")
        blob = bytes(range(256)) * 1000
        result = self.run_guest("cat", stdin={"base64": b64(blob)})
        self.assertEqual(result["encoding"], "base64")
        self.assertEqual(base64.b64decode(result["stdout"]), blob)

    def test_without_stdin_there_is_end_of_file(self):
        result = self.run_guest("cat")
        self.assert_exited(result)
        self.assertEqual(result["stdout"], "")

    def test_both_streams_stay_apart(self):
        result = self.run_guest("both", "here")
        self.assertEqual((result["stdout"], result["stderr"]), ("out here\n", "err here\n"))

    def test_output_that_is_not_text_comes_as_base64(self):
        result = self.run_guest("bytes")
        self.assertEqual(result["encoding"], "base64")
        self.assertEqual(base64.b64decode(result["stdout"]), b"\xff\xfe\0x\n")

    def test_usage_counts_what_was_used(self):
        result = self.run_guest("calls", 1000)
        usage = result["usage"]
        self.assertGreaterEqual(usage["host_calls"]["clock_time_get"], 1000)
        self.assertEqual((usage["stdout_bytes"], usage["stderr_bytes"]), (len("called\n"), 0))
        self.assertGreater(usage["wall_us"], 0)
        self.assertGreater(usage["user_us"] + usage["system_us"], 0)
        self.assertGreaterEqual(usage["peak_memory_bytes"], 65536)
        for field in ("queue_us", "compile_us", "start_us"):
            self.assertGreaterEqual(usage[field], 0)

    def test_peak_memory_follows_the_guest(self):
        small = self.run_guest("touch", 1)["usage"]["peak_memory_bytes"]
        large = self.run_guest("touch", 64)["usage"]["peak_memory_bytes"]
        self.assertGreaterEqual(large - small, 60 << 20)

    def test_a_module_is_compiled_once(self):
        fresh = wasm.module(b"", extra=wasm.custom("salt", os.urandom(16)))
        first = self.run_guest(wasm=fresh)["usage"]
        second = self.run_guest(wasm=fresh)["usage"]
        self.assertEqual((first["start"], second["start"], second["compile_us"]), ("cold", "cached", 0))
        self.assertGreater(first["compile_us"], 0)

    def test_result_names_module_signer_and_policy(self):
        result = self.run_guest("hello")
        self.assertEqual(result["module"]["digest"], harness.digest(guest("guest")))
        self.assertTrue(result["module"]["signer"])
        self.assertRegex(result["policy"]["digest"], "^sha256:[0-9a-f]{64}$")

    def test_one_policy_has_one_digest_and_another_has_another(self):
        names = ["N%d" % i for i in range(40)]
        asked = [{}, {}, {"limits": {"wall_ms": 2000}}, {}, {"env": names}, {"env": names}, {"env": names[1:]}, {}]
        found = [self.run_guest("hello", policy=p)["policy"]["digest"] for p in asked]
        self.assertEqual([found.index(d) for d in found], [0, 0, 2, 0, 4, 4, 6, 0])

    def test_get_returns_the_same_result_again(self):
        result = self.run_guest("hello")
        again = self.client.call("run.get", {"run_id": result["run_id"]})
        self.assertEqual((again["state"], again["result"]), ("ended", result))

    def test_get_of_an_unknown_run(self):
        self.assert_rpc_error("run_not_found", "run.get", {"run_id": "no-such-run"})
        error = self.assert_rpc_error("run_not_found", "run.get", {"request": 1})  # answered long ago
        self.assertIn("run_id", str(error))
        error = self.assert_rpc_error("invalid_params", "run.get", {"run_id": "no-such-run", "request": 1})
        self.assertIn("not by several", str(error))

    def test_the_same_key_runs_once(self):
        params = self.params("random", key="once")
        first = self.client.call("run", params)
        second = self.client.call("run", params)
        self.assertEqual((first["run_id"], first["stdout"]), (second["run_id"], second["stdout"]))

    def test_the_same_key_for_another_request_is_refused(self):
        self.client.call("run", self.params("hello", key="twice"))
        self.assert_rpc_error("key_in_use", "run", self.params("random", key="twice"))

    def test_requests_on_one_connection_run_side_by_side(self):
        sleeper = self.client.start("run", self.params("sleep", 600000, stream=True))
        self.client.wait_output(b"sleeping\n")
        self.assert_exited(self.run_guest("hello"))
        run = self.client.wait_notification("run.started")["run_id"]
        self.client.call("run.cancel", {"run_id": run})
        self.assertEqual(self.client.finish(sleeper)["status"], "cancelled")


class Modules(harness.Scenario):
    """The three ways in which module bytes come."""

    def test_by_digest(self):
        module = self.stored(guest("guest"))
        result = self.client.call("run", dict(self.params("hello"), module=module))
        self.assert_exited(result)

    def test_by_sealed_descriptor(self):
        data = guest("guest")
        fd = harness.sealed_memfd(data)
        self.addCleanup(os.close, fd)
        module = {"descriptor": 0, "signature": self.module(data)["signature"]}
        result = self.client.call("run", dict(self.params("hello"), module=module), fds=[fd])
        self.assert_exited(result)

    def test_descriptor_that_could_still_change_is_refused(self):
        signature = self.module(guest("guest"))["signature"]
        unsealed = harness.sealed_memfd(guest("guest"), seals=0)
        half = harness.sealed_memfd(guest("guest"), seals=harness.SEALS & ~8)
        regular = os.open(os.path.join(harness.GUESTS, "guest.wasm"), os.O_RDONLY)
        fifo, other_end = os.pipe()
        for what, fd in (("unsealed", unsealed), ("half sealed", half), ("file", regular), ("pipe", fifo)):
            with self.subTest(what):
                params = dict(self.params("hello"), module={"descriptor": 0, "signature": signature})
                self.assert_rpc_error("bad_descriptor", "run", params, fds=[fd])
        for fd in (unsealed, half, regular, fifo, other_end):
            os.close(fd)

    def test_descriptor_that_did_not_come_is_refused(self):
        self.assert_rpc_error("bad_descriptor", "run", dict(self.params("hello"), module={"descriptor": 0}))

    def test_put_get_list_remove(self):
        data = guest("hello")
        put = self.client.call("module.put", self.module(data))
        self.assertEqual((put["digest"], put["size"]), (harness.digest(data), len(data)))
        self.assertEqual(self.client.call("module.get", {"digest": put["digest"]})["size"], len(data))
        listed = self.client.call("module.list")["modules"]
        self.assertIn(put["digest"], [m["digest"] for m in listed])
        self.client.call("module.remove", {"digest": put["digest"]})
        self.assert_rpc_error("module_not_found", "module.get", {"digest": put["digest"]})
        self.assert_rpc_error("module_not_found", "run", dict(self.params(), module={"digest": put["digest"]}))

    def test_what_is_no_module_is_refused(self):
        for what, data in (("text", b"hello"), ("component", b"\0asm\x0d\0\x01\0"), ("nothing", b""),
                           ("half a header", b"\0asm\x01")):
            with self.subTest(what):
                params = {"module": {"wasm": b64(data), "signature": self.module(guest("hello"))["signature"]}}
                self.assert_rpc_error("module_invalid", "run", params)

    def test_signed_module_that_does_not_compile(self):
        unknown_instruction = wasm.module(b"\xff")
        for what, data in (("instruction", unknown_instruction), ("section", b"\0asm\1\0\0\0\x63\1\0"),
                           ("type", wasm.module(b"\x41\x00"))):
            with self.subTest(what):
                self.assert_rpc_error("module_invalid", "run", self.params(wasm=data))

    def test_module_with_unknown_import_says_which(self):
        bad = wasm.module(b"", imports=[("wasi_snapshot_preview1", "fd_reed", wasm.function_type())])
        result = self.run_guest(wasm=bad)
        self.assertEqual(result["status"], "failed", result)
        self.assertIn("fd_reed", str(result))
        self.assertIn("fd_read", str(result))

    def test_module_without_start_says_so(self):
        result = self.run_guest(wasm=wasm.module(b"", start_name="other"))
        self.assertEqual(result["status"], "failed", result)
        self.assertIn("_start", str(result))


class Traps(harness.Scenario):
    def trap(self, *args, **more):
        result = self.run_guest(*args, **more)
        self.assertEqual(result["status"], "trapped", result)
        return result["trap"]

    def test_unreachable_comes_with_the_functions_names(self):
        trap = self.trap("trap")
        self.assertEqual(trap["kind"], "unreachable")
        names = [frame.get("name") for frame in trap["frames"]]
        self.assertEqual([n for n in names if n in ("innermost_frame", "middle_frame")],
                         ["innermost_frame", "middle_frame"], trap)

    def test_each_kind_by_its_name(self):
        for verb, kind in (("divide", "integer_division_by_zero"), ("memory", "memory_out_of_bounds")):
            with self.subTest(verb):
                self.assertEqual(self.trap(verb, 0)["kind"], kind)

    def test_recursion_without_end(self):
        call_itself = b"\x10\x00"
        self.assertEqual(self.trap(wasm=wasm.module(call_itself))["kind"], "stack_overflow")

    def test_output_before_the_trap_is_there(self):
        # write(1, ...) and then unreachable: the iovec at 0 holds offset 16, length 3.
        imports = [("wasi_snapshot_preview1", "fd_write", wasm.function_type([wasm.I32] * 4, [wasm.I32]))]
        code = b"\x41\x01\x41\x00\x41\x01\x41\x0c\x10\x00\x1a\x00"
        data = wasm.section(11, wasm.vector([b"\x00\x41\x00\x0b" + wasm.leb(19) +
                                             b"\x10\0\0\0\x03\0\0\0\0\0\0\0\0\0\0\0hi\n"]))
        result = self.run_guest(wasm=wasm.module(code, imports, memory=1, extra=data))
        self.assertEqual((result["status"], result["stdout"]), ("trapped", "hi\n"), result)


class Streaming(harness.Scenario):
    def test_output_comes_as_it_is_written(self):
        request = self.client.start("run", self.params("sleep", 600000, stream=True))
        self.client.wait_output(b"sleeping\n")
        run = self.client.wait_notification("run.started")["run_id"]
        self.client.call("run.cancel", {"run_id": run})
        result = self.client.finish(request)
        self.assertEqual(result["status"], "cancelled")
        self.assertNotIn("stdout", result)

    def test_a_conversation(self):
        request = self.client.start("run", self.params("lines", stream=True, stdin={"stream": True}))
        run = self.client.wait_notification("run.started")["run_id"]
        for word in ("one", "two", "gr\u00fc\u00dfe"):
            self.client.notify("run.input", {"run_id": run, "data": word + "\n"})
            self.client.wait_output(("got " + word + "\n").encode())
        self.client.notify("run.input", {"run_id": run, "data": {"base64": b64(b"four\n")}})
        self.client.notify("run.input", {"run_id": run, "end": True})
        self.assert_exited(self.client.finish(request))
        self.assertEqual(self.client.output(), "got one\ngot two\ngot gr\u00fc\u00dfe\ngot four\n".encode())

    def test_a_megabyte_each_way(self):
        request = self.client.start("run", self.params("cat", stream=True, stdin={"stream": True}))
        run = self.client.wait_notification("run.started")["run_id"]
        data = bytes(range(256)) * 256
        for _ in range(15):
            self.client.notify("run.input", {"run_id": run, "data": {"base64": b64(data)}})
        self.client.notify("run.input", {"run_id": run, "end": True})
        self.assert_exited(self.client.finish(request))
        self.assertEqual(self.client.output(), data * 15)

    def test_cancel_ends_a_loop(self):
        request = self.client.start("run", self.params("loop", stream=True))
        self.client.wait_output(b"looping\n")
        run = self.client.wait_notification("run.started")["run_id"]
        self.client.call("run.cancel", {"run_id": run})
        result = self.client.finish(request)
        self.assertEqual(result["status"], "cancelled")
        self.assertEqual(result["usage"]["host_calls"]["fd_write"], 1)  # it could still say what it used
        self.assertNotIn("incomplete", result)

    def test_cancel_of_an_unknown_run(self):
        self.assert_rpc_error("run_not_found", "run.cancel", {"run_id": "no-such-run"})

    def test_a_run_ends_with_its_clients_connection(self):
        other = self.brigd.client()
        other.start("run", self.params("loop", stream=True, limits={"wall_ms": 3600000, "cpu_ms": 3600000}))
        other.wait_output(b"looping\n")
        run = other.wait_notification("run.started")["run_id"]
        other.close()
        ended = harness.wait_until(lambda: self.client.call("run.get", {"run_id": run}).get("result"),
                                   "the run of the closed connection has ended")
        self.assertEqual(ended["status"], "cancelled")


class Host(harness.Scenario):
    """What the guest sees of the world."""

    def test_no_files(self):
        self.assertRegex(self.run_guest("open", "/etc/passwd")["stdout"], "^open: (?!opened)")
        self.assertEqual(self.run_guest("descriptors")["stdout"].splitlines(),
                         ["prestat 3: 8", "fdstat 9: 8", "filestat 9: 8", "close 9: 8"])

    def test_pointers_outside_of_memory_are_answered(self):
        lines = self.run_guest("pointers")["stdout"].splitlines()
        self.assertEqual(lines[0], "random: 21")
        self.assertEqual(lines[1], "write: 21")
        self.assertRegex(lines[2], "^iovecs: (21|28)$")

    def test_fixed_clock(self):
        policy = {"clock": "fixed", "clock_fixed_ns": 86400 * 10**9 + 7}
        self.assertEqual(self.run_guest("clock", policy=policy)["stdout"].split()[0], "86400.000000007")

    def test_seeded_random_repeats(self):
        policy = {"random": "seeded", "seed": "11" * 32}
        other = {"random": "seeded", "seed": "22" * 32}
        first = self.run_guest("random", policy=policy)["stdout"]
        self.assertEqual(first, self.run_guest("random", policy=policy)["stdout"])
        self.assertNotEqual(first, self.run_guest("random", policy=other)["stdout"])

    def test_real_random_does_not_repeat(self):
        self.assertNotEqual(self.run_guest("random")["stdout"], self.run_guest("random")["stdout"])

    def test_denied_call_gets_its_errno_and_a_denial(self):
        result = self.run_guest("random", policy={"random": "none"})
        self.assertEqual(result["exit_code"], 1)
        denial = [d for d in result["denials"] if d["capability"] == "random"][0]
        self.assertEqual((denial["call"], denial["count"]), ("random_get", 1))
        self.assertIn("random", str(denial["grant"]))

    def test_clock_denied(self):
        result = self.run_guest("clock", policy={"clock": "none"})
        self.assertEqual([d["capability"] for d in result["denials"]], ["clock"])


class NothingLeftBehind(harness.Scenario):
    options = ("--templates-max", "2", "--parked-max", "1")  # also where no other test has any

    def test_descriptors_and_processes_return_to_where_they_were(self):
        params = self.params("hello")
        for _ in range(10):
            self.client.call("run", params)
            self.run_guest("trap")
        harness.wait_until(lambda: self.client.call("server.health")["parked"] == 1, "a worker is parked")
        fds, processes = self.brigd.open_descriptors(), len(self.brigd.children())
        if fds is None:
            self.skipTest("brigd's descriptors are not shown to this user")
        for _ in range(50):
            self.client.call("run", params)
            self.assertEqual(self.run_guest("trap")["status"], "trapped")
        for _ in range(10):
            with self.brigd.client() as other:
                other.call("server.info")
        harness.wait_until(lambda: self.brigd.open_descriptors() <= fds, "descriptors are closed")
        harness.wait_until(lambda: len(self.brigd.children()) <= processes, "workers are gone")


if __name__ == "__main__":
    harness.main()
