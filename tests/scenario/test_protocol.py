"""JSON-RPC 2.0 on the socket: the specification's examples, its corners, and hostile lines."""

import json
import os
import socket

import harness


def request(method="server.info", number=1, **more):
    return dict({"jsonrpc": "2.0", "id": number, "method": method}, **more)


class JsonRpc(harness.Scenario):
    def ask(self, value):
        return self.client.ask(json.dumps(value).encode())

    def assert_error(self, answer, code, number=None):
        self.assertEqual((answer["jsonrpc"], answer["error"]["code"], answer["id"]), ("2.0", code, number), answer)
        self.assertTrue(answer["error"]["message"])
        self.assertTrue(answer["error"]["data"]["advice"])

    def alive(self):
        self.assertEqual(self.ask(request(number="alive"))["id"], "alive")

    def test_what_is_not_json(self):
        for line in (b"{", b"nonsense", b'{"jsonrpc": "2.0", "method": "foobar, "params": "bar", "baz]', b"\xff\xfe",
                     b'{"jsonrpc":"2.0","id":1,"method":"\xc3\x28"}', b'{"a":1} {"b":2}', b"[1,2",
                     b'{"jsonrpc":"2.0","id":1,"id":2,"method":"server.info"}'):
            with self.subTest(line):
                self.assert_error(self.client.ask(line), -32700)
        self.alive()

    def test_what_is_json_but_no_request(self):
        for value in (1, "text", None, True, {}, {"jsonrpc": "2.0", "method": 1, "params": "bar"},
                      {"jsonrpc": "1.0", "id": 1, "method": "server.info"}, {"id": 1, "method": "server.info"},
                      request(params="text"), request(number={}), request(number=[])):
            with self.subTest(value):
                answer = self.ask(value)
                self.assertEqual(answer["error"]["code"], -32600, answer)
        self.alive()

    def test_every_kind_of_id_comes_back(self):
        for number in (0, -1, 2**53, "text", "", 1.5, None):
            with self.subTest(number):
                self.assertEqual(self.ask(request(number=number))["id"], number)

    def test_unknown_method(self):
        self.assert_error(self.ask(request("no.such.method", 7)), -32601, 7)

    def test_unknown_parameter_gets_the_nearest_name(self):
        answer = self.ask(request("run", 8, params={"modul": {}}))
        self.assert_error(answer, -32602, 8)
        self.assertIn("module", answer["error"]["message"])

    def test_positional_parameters_are_refused(self):
        self.assert_error(self.ask(request("run", 8, params=[1, 2])), -32602, 8)

    def test_notification_gets_no_answer(self):
        self.client.send_bytes(b'{"jsonrpc":"2.0","method":"server.info"}\n')
        self.client.send_bytes(b'{"jsonrpc":"2.0","method":"no.such.method","params":[1]}\n')
        self.alive()

    def test_batch(self):
        answers = self.ask([request(number=1), 1, request("no.such", 2), {"jsonrpc": "2.0", "method": "server.info"},
                            request("server.health", 3)])
        self.assertEqual(len(answers), 4, answers)
        by_id = {a["id"]: a for a in answers}
        self.assertIn("result", by_id[1])
        self.assertEqual(by_id[2]["error"]["code"], -32601)
        self.assertIn("result", by_id[3])
        self.assertEqual(by_id[None]["error"]["code"], -32600)

    def test_empty_batch(self):
        self.assert_error(self.ask([]), -32600)

    def test_batch_of_rubbish(self):
        answers = self.ask([1, 2, 3])
        self.assertEqual([a["error"]["code"] for a in answers], [-32600] * 3)

    def test_batch_of_notifications_gets_no_answer(self):
        self.client.send_bytes(b'[{"jsonrpc":"2.0","method":"server.info"},{"jsonrpc":"2.0","method":"x"}]\n')
        self.alive()

    def test_batch_of_runs(self):
        answers = self.ask([request("run", i, params=self.params("exit", i)) for i in range(5)])
        self.assertEqual({a["id"]: a["result"]["exit_code"] for a in answers}, {i: i for i in range(5)})

    def test_lines_in_pieces_and_several_at_once(self):
        line = json.dumps(request(number=1)).encode() + b"\n"
        for byte in line:
            self.client.send_bytes(bytes([byte]))
        self.assertEqual(self.client.receive()["id"], 1)
        self.client.send_bytes(b"".join(json.dumps(request(number=i)).encode() + b"\n" for i in range(100)))
        self.assertEqual(sorted(self.client.receive()["id"] for _ in range(100)), list(range(100)))

    def test_line_that_is_never_finished(self):
        with self.brigd.client() as other:
            other.send_bytes(b'{"jsonrpc":"2.0",')
        self.alive()

    def test_request_whose_client_does_not_wait(self):
        for _ in range(20):
            with self.brigd.client() as other:
                other.start("run", self.params("hello"))
        self.alive()

    def test_half_closed_client_still_gets_its_answer(self):
        with self.brigd.client() as other:
            other.start("server.info")
            other.socket.shutdown(socket.SHUT_WR)
            self.assertIn("result", other.receive())

    def test_descriptors_that_no_line_asks_for_are_closed(self):
        self.client.call("server.info")
        before = self.brigd.open_descriptors()
        if before is None:
            self.skipTest("brigd's descriptors are not shown to this user")
        fd = harness.sealed_memfd(b"x")
        for _ in range(50):
            self.client.call("server.info", fds=[fd] * 3)
        os.close(fd)
        harness.wait_until(lambda: self.brigd.open_descriptors() <= before, "the descriptors are closed")

    def test_info_and_health(self):
        info = self.client.call("server.info")
        self.assertTrue(info["version"])
        self.assertTrue(self.client.call("server.health"))

    def test_malformed_parameters_of_run(self):
        good = self.params("hello")
        for what, change in (("no module", {"module": None}), ("two modules", {"module": {"wasm": "", "digest": "x"}}),
                             ("base64", {"module": {"wasm": "!!!"}}), ("digest", {"module": {"digest": "sha256:00"}}),
                             ("args", {"args": "text"}), ("arg", {"args": [1]}), ("env", {"env": ["A=1"]}),
                             ("name", {"env": {"A=B": "x"}}), ("empty name", {"env": {"": "x"}}),
                             ("value", {"env": {"A": 1}}), ("stdin", {"stdin": 1}), ("stream", {"stream": "yes"}),
                             ("policy", {"policy": []}), ("version", {"policy": {"version": 2}}),
                             ("key", {"key": 1}), ("float", {"policy": {"version": 1, "limits": {"wall_ms": 1.5}}}),
                             ("negative", {"policy": {"version": 1, "limits": {"wall_ms": -1}}})):
            with self.subTest(what):
                self.assert_rpc_error("invalid_params", "run", dict(good, **change))
        self.alive()

    def test_nul_in_arguments_is_refused(self):
        for change in ({"args": ["a\0b"]}, {"env": {"A": "a\0b"}}):
            with self.subTest(change):
                self.assertIn("error", self.ask(request("run", 1, params=dict(self.params("hello"), **change))))
        self.alive()


if __name__ == "__main__":
    harness.main()
