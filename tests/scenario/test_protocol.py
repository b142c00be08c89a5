"""JSON-RPC 2.0 on the socket: the specification's examples, its corners, and hostile lines."""

import json
import os
import random
import socket

import harness


def request(method="server.info", number=1, **more):
    return dict({"jsonrpc": "2.0", "id": number, "method": method}, **more)


# The examples of the specification's section 7, and what comes back: (code, id), several of them, or None for silence. Its
# methods do not exist here, so each call that it answers with a result is answered "Method not found" with the same id.
SPECIFICATION = (
    ('{"jsonrpc": "2.0", "method": "subtract", "params": [42, 23], "id": 1}', (-32601, 1)),
    ('{"jsonrpc": "2.0", "method": "subtract", "params": [23, 42], "id": 2}', (-32601, 2)),
    ('{"jsonrpc": "2.0", "method": "subtract", "params": {"subtrahend": 23, "minuend": 42}, "id": 3}', (-32601, 3)),
    ('{"jsonrpc": "2.0", "method": "subtract", "params": {"minuend": 42, "subtrahend": 23}, "id": 4}', (-32601, 4)),
    ('{"jsonrpc": "2.0", "method": "update", "params": [1,2,3,4,5]}', None),
    ('{"jsonrpc": "2.0", "method": "foobar"}', None),
    ('{"jsonrpc": "2.0", "method": "foobar", "id": "1"}', (-32601, "1")),
    ('{"jsonrpc": "2.0", "method": "foobar, "params": "bar", "baz]', (-32700, None)),
    ('{"jsonrpc": "2.0", "method": 1, "params": "bar"}', (-32600, None)),
    ('[ {"jsonrpc": "2.0", "method": "sum", "params": [1,2,4], "id": "1"}, {"jsonrpc": "2.0", "method" ]',
     (-32700, None)),
    ('[]', (-32600, None)),
    ('[1]', [(-32600, None)]),
    ('[1,2,3]', [(-32600, None)] * 3),
    ('[ {"jsonrpc": "2.0", "method": "sum", "params": [1,2,4], "id": "1"},'
     ' {"jsonrpc": "2.0", "method": "notify_hello", "params": [7]},'
     ' {"jsonrpc": "2.0", "method": "subtract", "params": [42,23], "id": "2"}, {"foo": "boo"},'
     ' {"jsonrpc": "2.0", "method": "foo.get", "params": {"name": "myself"}, "id": "5"},'
     ' {"jsonrpc": "2.0", "method": "get_data", "id": "9"} ]',
     [(-32601, "1"), (-32601, "2"), (-32600, None), (-32601, "5"), (-32601, "9")]),
    ('[ {"jsonrpc": "2.0", "method": "notify_sum", "params": [1,2,4]},'
     ' {"jsonrpc": "2.0", "method": "notify_hello", "params": [7]} ]', None),
)

# Texts that RFC 8259 calls JSON, none of them a request.
JSON = tuple(line.encode("utf-8") for line in (
    '0', '-0', '-0.0', '1', '-1', '10', '0.1', '1e1', '1E1', '1e+1', '1e-1', '1.25E-03', '123e45', '0e1', '0e+1', '-1e-99999',
    '20e1', '9223372036854775807', '9223372036854775808', '-9223372036854775809', '1' + '0' * 300, '1e400', '-1e400',
    '1.7976931348623157e309', '0.' + '0' * 400 + '1', 'null', 'true', 'false', '""', '"a"', '" "', ' 1 ', '\t1\r', '[ ]', '{ }',
    '[ 1 , 2 ]', '[[]]', '[[[[[[[[[[]]]]]]]]]]', '[null,1,"1",{}]', '[1,null,null,null,2]', '{"":0}', '{"a":[]}', '{"a":{}}',
    '{"a":"b","a":"b"}', '{"a":1,"b":{"a":1,"a":2}}', '{"a":"b","c":"d"}', '{"\\u0061":1,"a":2}', '{"foo\\u0000bar":42}',
    '["\\u0000"]', '"\\u0000"', '["\\"\\\\\\/\\b\\f\\n\\r\\t"]', '["\\\\u0000"]', '["\\u0061\\u30af\\u30EA\\u30b9"]',
    '["\\ud83d\\ude00"]', '["\\uD800"]', '["\\uDC00"]', '["\\ud800\\ud800"]', '["\\uDFAAabc"]', '["\\ud800\\n"]',
    '["\\uFFFF\\uFDD0"]', '["\\u0012"]', '["\\u002c"]', '["\u20ac\U0001d11e"]', '["\U0010ffff\uffff\u2028\u2029\u00a0"]',
    '["\x7f"]', '["a/*b*/c//d#e"]', '{"a":"' + 'x' * 1000 + '"}', '["new\\u00A0line"]', '[""]', '["\u0821\u2064"]', '[true,false]',
    '{"jsonrpc":"2.0","id":1}', '{"jsonrpc":"2.0","id":1,"id":2,"method":"server.info"}'))

# Texts that it does not.
NOT_JSON = (
    b" ", b"\t", b"{", b"}", b"[", b"]", b"[1,2", b"nonsense", b'{"a":1} {"b":2}', b"[1,]", b"[,1]", b"[1,,2]", b"[1 2]", b"[,]",
    b"[]]", b"[1]x", b"[1}", b"{]", b'["a"', b'["a', b'["', b'"', b'"a', b'["a",', b"[1:2]", b'["":1]', b'["x"', b"[-]", b"[+1]",
    b"[-1", b"[01]", b"[-01]", b"[00]", b"[1.]", b"[.5]", b"[-.5]", b"[1.e1]", b"[1e]", b"[1E+]", b"[1e-]", b"[1eE2]", b"[0x1]",
    b"[1 000]", b"[1a]", b"[1+2]", b"[--1]", b"[Infinity]", b"[-Infinity]", b"[NaN]", b"[nul]", b"[nulll]", b"[True]", b"[tru",
    b"[truefalse]", b"undefined", b"{a:1}", b"{'a':1}", b'{"a"}', b'{"a":}', b'{"a" 1}', b'{"a"::1}', b'{"a":1,}', b'{,"a":1}',
    b'{"a":1,,"b":2}', b'{"a":1 "b":2}', b'{"a",1}', b"{1:1}", b"{null:1}", b"{[]:1}", b'{"a":1', b'{"a":', b'{"a"', b'{"',
    b'{"a":"a', b'{"a":"b"}#', b'{"a":1}//', b"/**/1", b"[1]//x", b"[1/**/]", b"['a']", b"[a", b'["\\x00"]', b'["\\a"]',
    b'["\\"]', b'["\\u"]', b'["\\u00"]', b'["\\u00g0"]', b'["\\u+123"]', b'["\\uD834\\uDd"]', b'["\\ud800\\u"]', b'["\\ud800\\u1x"]',
    b'["\\U0061"]', b'["\\\xf0\x9f\x8c\x80"]', b'["\t"]', b'["a\x00b"]', b'["\x1f"]', b"[\x00]", b"[1]\x00", b"\x00", b"\x00[1]",
    b"[\x0c]", b"[\x0b1]", b"[1]\xa0", b"\xef\xbb\xbf{}", b"\xef\xbb\xbf", b"\xfe\xff\x00[\x00]", b"[\x001\x00]", b"\xff\xfe", b'["\xff"]',
    b'["\x80"]', b'["\xc3\x28"]', b'["\xc0\xaf"]', b'["\xe0\x80\xaf"]', b'["\xed\xa0\x80"]', b'["\xf4\x90\x80\x80"]',
    b'["\xf8\x88\x80\x80\x80"]', b'["\xe2\x82"]', b'["\xe5"]', b'[1\xe5]', b'\xe2\x81\xa0[1]', b"[\xe2\x81\xa0]", b"\xe5", b"<null>",
    b"[<null>]", b"*", b'{"jsonrpc":"2.0","id":1,"method":"\xc3\x28"}', b'{"jsonrpc":"2.0","method":"foobar, "params":"bar","baz]',
    b'{"a":1,"a":2', b'{"a":1,"a"}', b'["\\u0000"', b"[1e400", b"[1e400,]", b'["\\ud800]')

# What mutations put in.
PIECES = tuple(bytes([c]) for c in b'{}[]:,"\\0123456789eE+-.u/ \r\t\x00\x1f\x7f\x80\xc3\xff') + (
    b"\\u0000", b"\\ud800", b"\\udc00", b"1e999", b"null", b"true", b"99999999999999999999", b'"a":1', b'{"a":1}', b"\xe2\x82\xac")


def is_json(line):
    """As RFC 8259 says, by Python's parser."""
    def refuse(word):
        raise ValueError(word)
    try:
        json.loads(line.decode("utf-8"), parse_constant=refuse, parse_int=str)
    except ValueError:
        return False
    return True


class JsonRpc(harness.Scenario):
    def ask(self, value):
        return self.client.ask(json.dumps(value).encode())

    def assert_error(self, answer, code, number=None):
        self.assertEqual((answer["jsonrpc"], answer["error"]["code"], answer["id"]), ("2.0", code, number), answer)
        self.assertTrue(answer["error"]["message"])
        self.assertTrue(answer["error"]["data"]["advice"])

    def alive(self):
        self.assertEqual(self.ask(request(number="alive"))["id"], "alive")

    def test_examples_of_the_specification(self):
        for line, want in SPECIFICATION:
            with self.subTest(line):
                self.client.send_bytes(line.encode() + b"\n")
                if want is None:
                    self.alive()
                    continue
                got = self.client.receive()
                if isinstance(want, list):
                    self.assertEqual([(a["error"]["code"], a["id"]) for a in got], want)
                else:
                    self.assert_error(got, *want)
        self.alive()

    def test_what_is_not_json(self):
        for line in NOT_JSON:
            with self.subTest(line):
                self.assert_error(self.client.ask(line), -32700)
        self.alive()

    def test_all_that_is_json_is_understood(self):
        for line in JSON:
            with self.subTest(line):
                self.assert_no_request(self.client.ask(line))
        self.alive()

    def assert_no_request(self, answer):
        """Invalid Request, for all of it or for each of a batch."""
        for each in answer if isinstance(answer, list) else [answer]:
            self.assert_error(each, -32600, each["id"])

    def test_mutated_json_is_judged_as_by_another_parser(self):
        """A seeded walk around the JSON above; Python's parser is the witness."""
        rng = random.Random(self.SEED)
        pool = [line for line in JSON + NOT_JSON if len(line) < 200 and b"jsonrpc" not in line]
        for _ in range(self.MUTATIONS):
            line = bytearray(rng.choice(pool))
            for _ in range(rng.randint(1, 3)):
                at = rng.randrange(len(line) + 1)
                if rng.random() < 0.5 and at < len(line):
                    line[at:at + rng.randint(1, 2)] = b""
                else:
                    line[at:at] = rng.choice(PIECES)
            line = bytes(line).replace(b"\n", b" ") or b" "
            if line == b"\r":
                continue
            answer = self.client.ask(line)
            if is_json(line):
                self.assert_no_request(answer)
            else:
                self.assertIsInstance(answer, dict, line)
                self.assertEqual((answer["error"]["code"], answer["id"]), (-32700, None), line)
        self.alive()

    SEED, MUTATIONS = 2119, 3000

    def test_nesting(self):
        for opening, closing in ((b"[", b"]"), (b'{"a":', b"}"), (b'[{"":', b"}]")):
            half = 10000
            deep = self.client.ask(opening * half + b"1" + closing * half)
            self.assertEqual((deep["error"]["data"]["name"], deep["id"]), ("request_too_deep", None))
            self.assert_error(self.client.ask(opening * half), -32700)
            self.assert_no_request(self.client.ask(opening * 20 + b"1" + closing * 20))
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
