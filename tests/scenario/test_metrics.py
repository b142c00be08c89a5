"""server.metrics, brig metrics and brig top: what they count, who is told, and how it is shown."""

import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios

import harness
import wasm
from harness import guest

OTHER = 23456  # another user, when the test is root


class Metrics(harness.Scenario):
    options = ("--group", "root") if harness.IS_ROOT else ()

    def metrics(self, client=None):
        return (client or self.client).call("server.metrics")

    def test_counts_runs_by_how_they_ended(self):
        before = self.metrics()["runs"]
        self.run_guest("exit", 3)
        self.run_guest("exit", 4)
        self.run_guest("trap", "unreachable")
        self.run_guest("loop", limits={"wall_ms": 20})
        after = self.metrics()["runs"]
        more = {name: after[name] - before[name] for name in after if after[name] != before[name]}
        self.assertEqual(more, {"exited": 2, "trapped": 1, "limit": 1})

    def test_counts_requests_that_could_not_run_apart(self):
        before = self.metrics()
        self.assert_rpc_error("module_not_found", "run", {"module": {"digest": "sha256:" + 64 * "0"}})
        self.assert_rpc_error("invalid_params", "run", {"module": {}})
        after = self.metrics()
        self.assertEqual(after["refused"] - before["refused"], 2)
        self.assertEqual(after["runs"], before["runs"])

    def test_measures_each_run_once(self):
        before = self.metrics()["times"]
        results = [self.run_guest("exit", 0) for _ in range(5)]
        after = self.metrics()["times"]
        for name, of in after.items():
            self.assertEqual(of["count"] - before[name]["count"], 5, name)
        for name, member in (("queue_us", "queue_us"), ("start_us", "start_us"), ("run_us", "wall_us")):
            self.assertEqual(after[name]["sum"] - before[name]["sum"], sum(r["usage"][member] for r in results), name)
        for of in after.values():
            self.assertLessEqual(of["p50"], of["p90"])
            self.assertLessEqual(of["p90"], of["p99"])
            self.assertLessEqual(of["p99"], of["p999"])
            self.assertLessEqual(of["p999"], of["max"])

    def test_says_how_processes_came_to_be(self):
        before = self.metrics()["starts"]
        seen = {}
        for _ in range(30):
            start = self.run_guest("exit", 0)["usage"]["start"]
            seen[start] = seen.get(start, 0) + 1
        after = self.metrics()["starts"]
        self.assertEqual({name: after[name] - before[name] for name in after if after[name] != before[name]}, seen)

    def test_shows_what_runs_and_waits(self):
        requests = [self.client.start("run", self.params("loop", stream=True)) for _ in range(3)]
        for request in requests:
            self.client.wait_notification("run.started", lambda p, r=request: p["request"] == r)
        now = self.metrics()
        self.assertEqual((now["running"], now["active"], now["queued"]), (3, 3, 0))
        for request in requests:
            self.client.call("run.cancel", {"request": request})
            self.assertEqual(self.client.finish(request)["status"], "cancelled")
        now = self.metrics()
        self.assertEqual((now["running"], now["active"], now["queued"]), (0, 0, 0))

    def test_shows_templates(self):
        params = self.params("exit", 0, wasm=guest("hello"))
        digest = self.client.call("run", params)["module"]["digest"]
        while self.client.call("run", params)["usage"]["start"] not in ("template", "parked"):
            pass
        mine = [t for t in self.metrics()["templates"] if t["module"] == digest]
        self.assertEqual(len(mine), 1)
        self.assertEqual((mine[0]["engine"], mine[0]["uid"], mine[0]["running"]), ("plain", os.geteuid(), 0))
        self.assertGreaterEqual(mine[0]["hits"], 1)
        self.assertGreaterEqual(mine[0]["forks"], mine[0]["hits"])
        self.assertGreater(mine[0]["heat"], 0)
        self.assertGreater(mine[0]["memory_bytes"], 1 << 20)

    def test_tells_the_operator_of_brigd_itself(self):
        self.client.call("module.compile", self.stored(wasm.module()))
        now = self.metrics()
        self.assertEqual(now["scope"], "all")
        self.assertGreater(now["broker"]["rss_bytes"], 1 << 20)
        self.assertGreaterEqual(now["store"]["modules"], 1)
        self.assertGreater(now["store"]["bytes"], 0)
        compile = now["compile"]
        self.assertEqual((compile["running"], compile["queued"], compile["failed"]), (0, 0, 0))
        self.assertGreater(compile["done"], 0)
        self.assertGreater(compile["done_us"], 0)
        self.assertIn("ahead", compile)
        self.assertEqual(set(now["audit"]), {"waiting", "lag_ms"})
        self.assertEqual(now["limits"]["running_max"], 32)
        self.assertIn(os.geteuid(), [o["uid"] for o in now["owners"]])

    def test_tells_others_only_of_their_own_runs(self):
        other = self.client_of(OTHER)
        self.run_guest("exit", 0)
        before = self.metrics(other)
        self.assertEqual((before["scope"], before["uid"]), ("owner", OTHER))
        for name in ("owners", "limits", "compile", "audit", "store", "broker"):
            self.assertNotIn(name, before)
        self.assertEqual([t for t in before["templates"] if t["uid"] != OTHER], [])
        all_before = self.metrics()
        other.call("run", self.params("exit", 0))
        self.run_guest("exit", 0)
        after = self.metrics(other)
        self.assertEqual(after["runs"]["exited"] - before["runs"]["exited"], 1)
        self.assertEqual(after["times"]["total_us"]["count"] - before["times"]["total_us"]["count"], 1)
        self.assertEqual(self.metrics()["runs"]["exited"] - all_before["runs"]["exited"], 2)
        owners = {o["uid"]: o for o in self.metrics()["owners"]}
        self.assertEqual(owners[OTHER]["runs"], after["runs"])

    def test_is_printed_for_people_programs_and_prometheus(self):
        self.run_guest("exit", 0)
        flat = harness.must(harness.brig("metrics", "--socket", self.brigd.socket)).stdout.decode()
        self.assertRegex(flat, r"(?m)^runs\.exited: [1-9]")
        told = json.loads(harness.must(harness.brig("metrics", "--json", "--socket", self.brigd.socket)).stdout)
        self.assertEqual(set(told), set(self.metrics()))
        text = harness.must(harness.brig("metrics", "--prometheus", "--socket", self.brigd.socket)).stdout.decode()
        sample = re.compile(r'[a-z_]+(\{[a-z]+="[^"]*"(,[a-z]+="[^"]*")*\})? -?[0-9.e+-]+')
        named = set()
        for line in text.splitlines():
            if line.startswith("# TYPE "):
                self.assertNotIn(line.split()[2], named)
                named.add(line.split()[2])
            elif not line.startswith("# HELP "):
                self.assertIsNotNone(sample.fullmatch(line), line)
        self.assertIn('brig_runs_total{status="exited"} %d' % told["runs"]["exited"], text.splitlines())
        both = harness.brig("metrics", "--json", "--prometheus", "--socket", self.brigd.socket)
        self.assertEqual(both.returncode, 2)

    def test_takes_no_parameters(self):
        self.assert_rpc_error("invalid_params", "server.metrics", {"all": True})


class Terminal:
    """brig top on a terminal of its own, of this size."""

    def __init__(self, socket, rows, columns):
        self.end, self.slave = pty.openpty()
        self.resize(rows, columns)
        self.mode = termios.tcgetattr(self.slave)
        self.written = b""
        self.process = subprocess.Popen([harness.program("brig"), "top", "-i", "0.1", "--socket", socket],
                                        stdin=self.slave, stdout=self.slave, stderr=self.slave, start_new_session=True,
                                        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
                                        env=dict(os.environ, TERM="xterm"))

    def resize(self, rows, columns):
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def read(self):
        if select.select([self.end], [], [], harness.PATIENCE)[0]:
            self.written += os.read(self.end, 65536)
        else:
            raise AssertionError("nothing is drawn any more: %r" % self.written[-2000:])

    def screens(self):
        """What was drawn whole so far: lists of lines."""
        whole = self.written.split(b"\x1b[H")[1:]
        return [re.sub(rb"\x1b\[[0-9?]*[a-zA-Z]", b"", one).decode().replace("\r", "").split("\n")
                for one in whole if one.rstrip().endswith(b"\x1b[J")]

    def wait_screen(self, accept):
        """The first screen from now on that is accepted."""
        self.written = b""
        while True:
            for screen in self.screens():
                if accept(screen):
                    return screen
            self.read()

    def type(self, keys):
        os.write(self.end, keys)

    def finish(self):
        """Its exit status, when it has ended; all that it wrote is then in `written`."""
        code = self.process.wait(harness.PATIENCE)
        while select.select([self.end], [], [], 0)[0]:
            self.written += os.read(self.end, 65536)
        return code

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self.end)
        os.close(self.slave)


class Top(harness.Scenario):
    def top(self, *args, **more):
        return harness.brig("top", "--socket", self.brigd.socket, *args, **more)

    def terminal(self, rows=24, columns=80):
        terminal = Terminal(self.brigd.socket, rows, columns)
        self.addCleanup(terminal.close)
        return terminal

    def test_once_shows_all_of_it_once(self):
        self.run_guest("exit", 0)
        lines = harness.must(self.top("--once")).stdout.decode().splitlines()
        begins = [line.split(" ")[0] for line in lines if line]
        for word in ("brig", "runs", "ended", "starts", "broker", "services", "time", "total", "queue", "start", "run",
                     "user"):
            self.assertIn(word, begins)
        self.assertNotIn("\x1b", "".join(lines))
        self.assertIn(self.brigd.socket, lines[0])

    def test_without_a_terminal_it_prints_lines(self):
        lines = harness.must(self.top("-i", "0.1", "-n", "3")).stdout.decode().splitlines()
        self.assertEqual(len(lines), 4)
        self.assertEqual(lines[0].split()[:3], ["time", "running", "queued"])
        for line in lines[1:]:
            self.assertRegex(line, r"^[0-9:]{8} +[0-9]+ +[0-9]+ +[0-9.]+ ")

    def test_json_is_what_the_server_answers(self):
        lines = harness.must(self.top("--json", "-i", "0.1", "-n", "2")).stdout.decode().splitlines()
        self.assertEqual(len(lines), 2)
        for line in lines:
            self.assertEqual(set(json.loads(line)), set(self.client.call("server.metrics")))

    def test_on_a_terminal_it_redraws_as_things_change(self):
        terminal = self.terminal()
        terminal.wait_screen(lambda s: s[1].startswith("runs      0 running"))
        request = self.client.start("run", self.params("loop", limits={"wall_ms": 60000}))
        terminal.wait_screen(lambda s: s[1].startswith("runs      1 running"))
        self.client.call("run.cancel", {"request": request})
        self.client.finish(request)
        terminal.wait_screen(lambda s: s[1].startswith("runs      0 running"))

    def test_it_takes_the_size_of_the_terminal(self):
        for name in ("guest", "hello"):
            params = self.params("exit", 0, wasm=guest(name))
            while self.client.call("run", params)["usage"]["start"] not in ("template", "parked"):
                pass
        terminal = self.terminal(40, 100)
        whole = terminal.wait_screen(lambda s: len(s) > 12)
        self.assertLessEqual(len(whole), 40)
        for rows, columns in ((10, 30), (1, 1), (24, 80)):
            terminal.resize(rows, columns)
            screen = terminal.wait_screen(lambda s, r=rows, c=columns: len(s) <= r and max(map(len, s)) <= c)
            self.assertGreater(len(screen[0]), 0)

    def ends_well(self, terminal):
        self.assertEqual(terminal.finish(), 0)
        self.assertTrue(terminal.written.endswith(b"\x1b[?25h\x1b[?1049l"), terminal.written[-100:])
        self.assertEqual(termios.tcgetattr(terminal.slave), terminal.mode)

    def test_q_ends_it_and_gives_the_terminal_back(self):
        terminal = self.terminal()
        terminal.wait_screen(lambda s: True)
        self.assertNotEqual(termios.tcgetattr(terminal.slave), terminal.mode)
        terminal.type(b"xq")
        self.ends_well(terminal)

    def test_control_c_ends_it_and_gives_the_terminal_back(self):
        terminal = self.terminal()
        terminal.wait_screen(lambda s: True)
        terminal.type(b"\x03")
        self.ends_well(terminal)

    def test_a_signal_ends_it_and_gives_the_terminal_back(self):
        terminal = self.terminal()
        terminal.wait_screen(lambda s: True)
        terminal.process.send_signal(signal.SIGTERM)
        self.ends_well(terminal)

    def test_it_ends_when_nobody_reads(self):
        process = subprocess.Popen([harness.program("brig"), "top", "-i", "0.1", "--socket", self.brigd.socket],
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL)
        process.stdout.readline()
        process.stdout.close()
        process.wait(harness.PATIENCE)
        process.stderr.close()
        self.assertNotEqual(process.returncode, 0)

    def test_what_makes_no_sense_is_said(self):
        for args in (("-i", "0"), ("-i", "x"), ("-n", "0"), ("--what",), ("more",)):
            self.assertEqual(self.top(*args).returncode, 2, args)


class Gone(harness.Scenario):
    def test_top_gives_the_terminal_back_when_brigd_goes(self):
        terminal = Terminal(self.brigd.socket, 24, 80)
        self.addCleanup(terminal.close)
        terminal.wait_screen(lambda s: True)
        self.brigd.process.send_signal(signal.SIGTERM)
        self.assertEqual(terminal.finish(), 1)
        self.assertIn(b"\x1b[?25h\x1b[?1049l", terminal.written)
        self.assertEqual(termios.tcgetattr(terminal.slave), terminal.mode)


if __name__ == "__main__":
    harness.main()
