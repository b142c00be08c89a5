#!/usr/bin/env python3
"""tests/fuzz/seeds.py DIR: writes inputs to begin with, DIR/NAME/* for the fuzz target NAME.

They stand for what each decoder is made for, and against: fuzzing begins with them, and `make check` replays them.
"""

import hashlib
import json
import os
import struct
import sys

# The keys that tests/fuzz/input.c makes of 0, 1 and 3: key id, key number, public key.
KEYS = [("5307ce27cc38b12b0bb34061", "5307ce27cc38b12b", "O2onvM62pC1io6jQKm8Nc2UyFXcd4kOmOsBIoYtZ2ik="),
        ("236c79a936837526e7b8746a", "236c79a936837526", "iojj3XQJ8ZX9UtstPLpdcspnCb8dlBIb83SIAbQPb1w="),
        ("dd57fa12b16a3d33f545a35a", "dd57fa12b16a3d33", "7UkoxijRwsbq6QM4kFmVYSlZJzpcY/k2NsFGFKyHN9E=")]

HEADER = b"\0asm\1\0\0\0"
MODULE = HEADER + bytes.fromhex("010401600000" "03020100" "070a01065f737461727400000a040102000b" "0006046e6f74652a")
DIGEST = "sha256:" + "0f" * 32
DELIMITER = b"\0\x14\x13signature_delimiter"
POLICY = {"version": 1, "limits": {"wall_ms": 100, "memory_bytes": 65536}, "args": True, "env": ["LANG", "LC_*"],
          "clock": "fixed", "clock_fixed_ns": 5, "random": "seeded", "seed": "00" * 32, "output": "end",
          "mode": "enforce", "fs": [], "tools": [], "net": [],
          "signature": {"module": "optional", "source": "required"}}


def compact(value):
    return json.dumps(value, separators=(",", ":")).encode()


def request(method, params=None, number=1):
    message = {"jsonrpc": "2.0", "id": number, "method": method}
    if params is not None:
        message["params"] = params
    return message


def jsonrpc():
    module = {"wasm": "AGFzbQEAAAA="}
    run = {"module": module, "name": "x", "args": ["a", "b\u20ac"], "env": {"LANG": "C"}, "stdin": "hi",
           "policy": POLICY, "stream": False, "key": "k"}
    yield compact(request("run", run))
    yield compact(request("run", {"module": {"descriptor": 0, "signature": "text"}, "stdin": {"base64": "aGk="}}))
    yield compact(request("run", {"module": {"descriptor": 1}}))
    yield compact(request("run", {"module": {"digest": DIGEST}, "stdin": {"stream": True}, "stream": True}))
    yield compact([request("run.get", {"run_id": "run-1"}), request("server.info", number=None), request("x", []), 1])
    yield b'{"jsonrpc":"2.0","method":"run","params":{"module":{"wasm":"="},"nam":1}}'
    yield b'{"jsonrpc":"2.0","id":{},"method":1}'
    yield b'["\\ud83d\\ude00\\u0000\\ud800",1e400,-0,-0.0,0.1,1E5,true,null,9223372036854775808]'
    yield b"[" * 65 + b"]" * 65
    yield b'{"a":1,"a":2}'
    yield b"\xff\xfe{} x"


def damage(*changes):
    """As tests/fuzz/input.c reads it: up to four (how, at, value): 0 flips, 1 puts in, 2 leaves out, 3 cuts off."""
    return (bytes([len(changes)]) + b"".join(struct.pack("<BHB", *c) for c in changes)).ljust(17, b"\0")


def signature():
    inside, beside, hurt, hurt_beside, given, by_two = 1, 2, 4, 8, 16, 32
    no_key_id, one_key, revoke_empty = 1, 2, 4

    def head(mode, options=0):
        return bytes([mode, options])
    for who in range(4):
        for mode in (inside, beside, inside | beside, inside | beside | by_two):
            yield head(mode | who << 6) + MODULE
    for at in (0, 8, 9, 11, 12, 21, 24, 27, 59, 60, 61, 62, 74, 75, 76, 139, 140, 190):
        yield head(inside | hurt) + damage((0, at, 1)) + MODULE
        yield head(inside | hurt) + damage((1, at, 0x80)) + MODULE
    yield head(inside | hurt) + damage((3, 145, 0)) + MODULE
    yield head(inside | hurt) + damage((0, 10, 0x80), (1, 11, 0)) + MODULE  # a size in three bytes
    # a byte behind the signature
    yield head(inside | hurt) + damage((1, 140, 0), (0, 9, 3), (0, 25, 1), (0, 60, 0x1f)) + MODULE
    yield head(beside | hurt_beside) + damage((0, 76, 1)) + MODULE
    yield head(inside | beside | hurt | hurt_beside) + damage((0, 76, 1)) + damage((0, 76, 1)) + MODULE
    yield head(given) + b"untrusted comment: x\nRWQ=\ntrusted comment: y\nAA==\n\0" + MODULE
    yield head(0) + MODULE
    yield head(inside) + MODULE + DELIMITER
    yield head(0) + MODULE[:4] + b"\x0d\0\1\0"
    yield head(0) + HEADER + b"\0\x0a\x09signature" + MODULE[8:]
    yield head(0) + MODULE + b"\0\x0a\x09signature"
    yield head(inside) + MODULE + b"\0\x0a\x09signature"
    for who in range(4):
        yield head(inside | who << 6, no_key_id) + MODULE
        yield head(inside | who << 6, no_key_id | one_key) + MODULE
    yield head(inside, revoke_empty) + HEADER
    yield head(beside, revoke_empty) + HEADER
    yield head(0, revoke_empty) + HEADER


def minisign():
    yield b"\1a comment\0\0"
    for how, at, value in ((0, 0, 1), (0, 60, 1), (0, 20, 0x20), (1, 30, 10), (1, 300, 10), (2, 100, 0), (3, 200, 0)):
        yield b"\1file:f\thashed\0\1" + bytes([how]) + struct.pack("<H", at) + bytes([value])
    yield (b"\0untrusted comment: signature from minisign secret key\n"
           b"RUTN6vDU7G4m9wXoJ+/SHbwwjzCYW4/iezmsAd21if7s/eDv8DanvLqJJ+YjFdhTA+n33g02W2VgLhzly/f6yM34hbyGwfDf9AA=\n"
           b"trusted comment: timestamp:1795254719\tfile:f\thashed\n"
           b"If67Uz7bdH8rNKjZurj4oTJLE65mAbB4T6joZIFB0IaWOfRIYogfd4KqzVdRljkCvqIjYnJhKXwAinAH5s0QCg==\n")
    yield b"\0untrusted comment: x\nRWTN\n"


def keys():
    for what in (1, 2):
        for form in (0, 1):
            yield bytes([what, form, 0])
            for how, at in ((0, 0), (0, 30), (0, 60), (1, 40), (2, 70), (3, 80)):
                yield bytes([what, form, 1, how]) + struct.pack("<H", at) + b"\1"
    line = b"RWTN6vDU7G4m97bZ2QRIn63xLdbIJlTQDSyYICFHUi7NxwSUrVmDdcev"
    yield b"\0untrusted comment: minisign public key F7266EECD4F0EACD\n" + line + b"\n"
    yield b"\0" + line
    yield b"\0\1" + bytes(32)


def keyring():
    def entry(i, **more):
        kid, number, public = KEYS[i]
        return dict({"kid": kid, "key_number": number, "public_key": public, "name": "k%d" % i,
                     "valid_from": "2026-01-01T00:00:00Z", "valid_to": "2028-01-01T00:00:00Z"}, **more)
    good = {"version": 4, "expires": "2028-01-01T00:00:00Z",
            "keys": [entry(0, owner=None, grant=None), entry(1, owner=1000, grant=POLICY), entry(2, owner="alice")],
            "revoked_keys": [KEYS[2][0]], "revoked_modules": ["sha256:" + "0f" * 32]}
    yield b"\0\0" + compact(good)
    yield b"\0\5" + compact(good)
    yield b"\1\0\1\0\x30\0\1" + bytes(4) + compact(good)
    yield b"\0\0" + compact(dict(good, keys=[entry(0), entry(0)]))
    yield b"\0\0" + compact(dict(good, expires="2026-01-01T00:00:00Z"))
    yield b"\0\0" + compact(dict(good, more=1))
    yield b"\0\0" + compact(dict(good, keys=[entry(0, valid_from="2029-01-01T00:00:00Z")]))
    yield b"\0\0" + compact(dict(good, keys=[entry(0, kid=KEYS[1][0])]))
    yield b"\0\0" + compact(dict(good, keys=[], revoked_keys=["x"]))
    for changed in ({"keys": {}}, {"keys": [1]}, {"expires": 1}, {"version": "1"},
                    {"revoked_modules": ["sha256:" + i * 64 for i in "210"]}, {"revoked_keys": [k[0] for k in KEYS]}):
        yield b"\0\0" + compact(dict(good, **changed))
    for changed in ({"name": ""}, {"name": "a\n"}, {"owner": True}, {"owner": "x" * 129}, {"grant": 1}, {"more": 1},
                    {"grant": {"version": 2}}, {"valid_to": "2020-01-01T00:00:00Z"}, {"public_key": "AA=="},
                    {"key_number": "x"}):
        yield b"\0\0" + compact(dict(good, keys=[entry(0, **changed)]))
    yield b"\0\0" + compact(dict(good, keys=[entry(0), entry(1, key_number=KEYS[0][1])]))
    yield b"\0\0[]"


def packs():
    def part(name, content):
        return {"file": name, "digest": "sha256:" + hashlib.sha256(content).hexdigest()}
    good = {"version": 1, "name": "a-1_b", "release": "One 1.0", "module": part("module", b"a module"),
            "bootstrap": part("boot", b"a text\n"), "args": ["a", "-c", "{bootstrap}"], "env": {"A": "1", "B": ""},
            "grant": POLICY, "warm": False}
    yield compact(good)
    yield compact({k: v for k, v in good.items() if k not in ("env", "grant", "warm")})
    for field in good:
        yield compact({k: v for k, v in good.items() if k != field})
    for changed in ({"version": 2}, {"name": "A"}, {"name": ""}, {"name": "a" * 65}, {"release": ""}, {"release": "x" * 65},
                    {"args": []}, {"args": [1]}, {"args": ["a"] * 65}, {"args": ["a\0"]}, {"env": {"": "x"}}, {"env": {"A=": "x"}},
                    {"env": {"A": 1}}, {"env": []}, {"env": None}, {"grant": None}, {"grant": 1}, {"grant": {"version": 2}},
                    {"warm": 1}, {"moduel": {}}, {"module": part("module", b"other")}, {"module": part("../module", b"a module")},
                    {"module": part("none", b"a module")}, {"module": {"file": "module"}},
                    {"module": {"file": "module", "digest": "sha256:0"}}, {"bootstrap": part("boot", b"")}, {"module": 1}):
        yield compact(dict(good, **changed))
    yield b""
    yield b"[]"
    yield b'{"version": 1, "version": 1}'


def policy():
    other = {"version": 1, "limits": {"wall_ms": 50, "fuel": 7}, "env": ["L*"], "clock": "real", "random": "real",
             "args": True, "signature": {"module": "optional"}}
    yield compact(POLICY)
    yield b"\0".join(map(compact, (POLICY, other, {"version": 1})))
    yield b"\0".join(map(compact, (other, dict(POLICY, clock_fixed_ns=6, seed="11" * 32), POLICY)))
    yield b"\0".join(map(compact, (dict(other, clock="fixed"), dict(other, clock="none"), dict(other, random="none"))))
    yield compact({"limits": {"wall_sm": 1}})
    yield compact({"version": 2})
    yield compact({"env": ["A*B", "="]})
    yield b'{"limits":{"wall_ms":0,"fuel":1.5}}'
    files = {"fs": [{"mount": "/a", "kind": "inline", "rights": ["read", "write"], "paths": {"b": ["read"], "b/c": []}},
                    {"mount": "/d"}]}
    yield compact(files)
    yield b"\0".join(map(compact, (files, {"fs": [{"under": "/", "kind": "inline", "rights": ["read"]}]}, {"fs": [
        {"under": "/a/b/x", "rights": ["write"]}]})))
    yield b"\0".join(map(compact, (files, {"fs": [{"mount": "/", "rights": ["read", "delete"]}]},
                                   {"fs": [{"mount": "/a/b", "rights": ["read"]}, {"mount": "/a/bc"}]})))
    yield compact({"fs": [{"mount": "/a/../b"}]})
    yield compact({"tools": ["a", "b-c"], "fs": [{"mount": "/a", "kind": "dir", "rights": "read"}], "x": [1], "net": [1]})
    asked = ("fs read /a/b", "fs write /a/b/c", "fs create /d/x", "fs delete /a", "fs mount /a/b", "fs inline /a/f",
             "fs dir /d", "env LANG", "env L", "limit wall_ms 5s", "limit fuel 3k", "args", "clock fixed", "clock real",
             "random seeded", "tool a", "net x", "signature unsigned", "signature unsigned_source", "fs raed /")
    tools = {"tools": ["a"], "env": ["L"], "clock": "fixed", "fs": [{"under": "/a", "paths": {"b": ["write"]}}]}
    for layers in ((POLICY, other, files), (files, tools, other), (other, files, dict(tools, **files))):
        for part in (asked[:10], asked[10:]):
            yield b"\0".join([json.dumps(layer, indent=1).encode() for layer in layers] + ["\n".join(part).encode()])


def position():
    texts = (json.dumps(POLICY, indent=2), '{"a":{"b":[1,{"c":"\\u0064\\""}]},"\\u0062":[[]," ",null,-1e5]}', "[1,[2,[3]]]", "7",
             '{"a": {"b"', '[1 2]', "{,}")
    for text in texts:
        yield b"\0" + text.encode()
        yield b"\3\0a\0\0b\0\3\0" + text.encode()
        yield b"\2\3\0\3\0" + text.encode()


def imsg():
    def packet(kind, payload, nfds=0, length=None):
        body = struct.pack("<IIQ", kind, len(payload) if length is None else length, 1) + payload
        return bytes([nfds]) + struct.pack("<H", len(body)) + body
    yield packet(1, b"hello") + packet(2, b"", 1) + packet(3, b"x", 4)
    yield packet(1, b"hello", 5) + packet(1, b"x", 7)
    yield packet(1, b"short", 2, 6) + packet(1, b"long", 0, 3)
    yield b"\0\4\0abcd" + b"\0\0\0" + b"\1\0\0"
    yield b"\x80\0\x80" + struct.pack("<IIQ", 1, 65520, 1)
    yield b"\x83\1\x80" + struct.pack("<IIQ", 1, 65521, 1)


def worker():
    def message(kind, payload=b"", flags=0):
        return bytes([kind, flags]) + struct.pack("<H", len(payload)) + payload

    def result(status, trap=0, limit=0, failure=0, text=b"", frames=()):
        tail = b"".join(struct.pack("<IIQ", i, len(name), 9) + name for i, name in enumerate(frames))
        return message(24, bytes([status, 3, trap, limit, failure, len(text), len(frames), 5, 9]) + text + tail, 4)
    out = message(22, struct.pack("<II", 1, 0) + b"hello\n") + message(22, struct.pack("<II", 2, 0) + b"\xff\0")
    denials = b"".join(message(23, struct.pack("<IIQ", call, cap, 1)) for call in (1, 46) for cap in range(5))
    yield b"\0" + out + result(1)
    yield b"\1" + out + result(3, 0, 5)
    yield b"\6" + message(23, struct.pack("<IIQ", 5, 3, 1)) + message(23, struct.pack("<IIQ", 37, 4, 1)) + result(1)
    yield b"\6" + denials
    def change(path, what=0, kind=0, size=0, content=0, target=b"", was=0, base=0):
        return message(25, struct.pack("<IIQIIIIII32s", what, kind, size, content, len(path), len(target), was, base, 0,
                                       b"d" * 32) + path + target)
    yield b"\0" + change(b"/a", size=3, content=1) + message(26, b"ab") + message(26, b"\xff") + change(b"/l", 1, 2, target=b"t", was=2) \
        + change(b"/d", 2, 1, was=1) + change(b"/a") + message(27, struct.pack("<Q", 5)) + result(1)
    yield b"\0" + change(b"/a", 1, base=1) + change(b"/b", 2, base=2) + change(b"/c", 2, 3, was=3) + change(b"/e", 1, 1, base=1) \
        + message(27, bytes(8)) + result(1)
    yield b"\0" + message(28, struct.pack("<IIQ", 1, 0, 1) + b"/w/a")
    yield b"\0" + change(b"/a", size=3, content=1) + message(27, bytes(8))
    yield b"\0" + change(b"a") + message(27, bytes(8))
    yield b"\x08" + b"".join(message(23, struct.pack("<IIQ", 32, cap, 1) + b"/w/\xc3\xa4") for cap in (4, 5, 6)) + result(1)
    yield b"\x08" + message(23, struct.pack("<IIQ", 32, 3, 1) + b"/w")
    def learned(path=b"/w/f", call=32, capability=0, rights=1, extent=0):
        return message(29, struct.pack("<IIIIQ", call, capability, rights, extent, 3) + path)
    yield b"\x10" + learned() + learned(b"/w/m/x", rights=12) + learned(b"/w/d", rights=7, extent=1) \
        + learned(b"/w/e", rights=0, extent=2) + learned(b"", 6, 1, 0) + learned(b"/w/t/x", rights=4) + learned(b"/w/t/x/y") + result(1)
    yield b"\x10" + b"".join(learned(b"/w/d/%d/%d" % (i // 6, i)) for i in range(40)) + learned(b"/w/n\nl/f") + result(1)
    yield b"\x10" + learned(b"/w/a/x", rights=2)
    yield b"\0" + learned()
    for trap in range(14):
        yield b"\0" + result(2, trap, text=b"a trap", frames=(b"main", b"", "f\u20ac".encode(), b"n\0n"))
    yield b"\0" + result(2, 1, text=b"\xff") + message(22)
    yield b"\0" + result(2, 1, text=b"x", frames=(b"\xff",))
    for number in range(12):
        yield b"\0" + result(4, failure=number, text=b"why")
        yield b"\0" + out + result(3, limit=number)
    yield b"\0" + result(5)
    yield b"\0" + result(1, 1) + result(1)
    yield b"\0" + message(11, b"it cannot go on \xff" * 60)
    yield b"\0" + message(22, struct.pack("<II", 3, 0) + b"x")
    yield b"\0" + message(22, struct.pack("<II", 1, 0) + bytes(4097))
    yield b"\0" + message(14) + message(24)
    yield b"\0" + message(22, struct.pack("<II", 1, 0) + b"x", 1)
    yield b"\0" + message(22, struct.pack("<II", 1, 0) + b"x", 2)
    yield b"\0" + message(24, bytes([4, 0, 0, 0, 1, 200, 0, 0, 0]) + b"text", 4)
    yield b"\0" + message(24, bytes([2, 0, 1, 0, 0, 0, 1, 0, 0]) + struct.pack("<IIQ", 1, 200, 9) + b"name", 4)


def job():
    def order(how, kind, args=(b"a",), env=(b"B=c",), stdin=b"xyz", flags=0, engine=0, clock=3, wall=100, more=0):
        def strings(parts):
            return b"".join(struct.pack("<I", len(p)) + p for p in parts)
        a, b = strings(args), strings(env)
        fields = bytes([flags, engine, clock, 2, wall, 9, len(args), len(env)])
        return bytes([how | 64, kind]) + fields + struct.pack("<3H", len(a), len(b), len(stdin) + more) + a + b + stdin
    yield order(0, 20)
    yield order(4, 20, flags=8)
    yield order(4, 20)
    yield order(2 | 4, 20, flags=8)
    yield order(1, 20)
    yield order(8, 20)
    yield order(16, 20)
    yield order(32, 20, engine=1)
    yield order(0, 20, flags=2)
    yield order(0, 20, flags=2, stdin=b"")
    yield order(0, 20, flags=16)
    yield order(0, 20, clock=4)
    yield order(0, 20, wall=0)
    yield order(0, 20, args=(b"a\0b",))
    yield order(4, 20, args=(), env=(), stdin=b"", flags=8)
    yield order(0, 20, more=1)
    yield order(0, 20, more=-1)
    yield order(0, 20, env=(b"",), stdin=b"")
    yield order(0, 21)
    yield bytes([0, 20]) + bytes(144)

    def with_files(files, mounts, nodes=30, filec=None, mountc=None):
        f = b"".join(struct.pack("<IIQ", len(path), 0, len(data)) + path + data for path, data in files)
        m = b"".join(struct.pack("<IIII", rights, len(path), len(rules), 0) + path +
                     b"".join(struct.pack("<II", r, len(p)) + p for p, r in rules) for path, rights, rules in mounts)
        fields = bytes([0, 0, 3, 2, 100, 9, 0, 0]) + struct.pack("<3H", 0, 0, 0) + struct.pack("<2H", len(f), len(m))
        counts = [len(files) if filec is None else filec, len(mounts) if mountc is None else mountc, nodes]
        return bytes([64 | 128, 20]) + fields + bytes(counts) + f + m
    two = [(b"/a/b", b"data"), (b"/a/c/d", b"")]
    yield with_files(two, [(b"/a", 15, [(b"c", 1), (b"c/d", 0)]), (b"/", 1, [])])
    yield with_files(two, [(b"/a/b", 15, [])])
    yield with_files(two + [(b"/a/b/c", b"")], [(b"/", 15, [])])
    yield with_files(two, [(b"/", 15, [])], nodes=3)
    yield with_files(two, [(b"/", 15, [])], nodes=6)
    yield with_files(two, [(b"/", 16, [])])
    yield with_files(two, [(b"/", 15, [(b"../x", 1)])])
    yield with_files(two, [(b"/", 15, [])], filec=3)
    yield with_files(two, [(b"/", 15, [])], filec=1)
    yield with_files(two, [(b"/", 15, [])], mountc=2)
    yield with_files([], [(b"/%d" % i, 15, []) for i in range(65)], nodes=200)
    yield with_files([(b"/a/\xff", b"")], [(b"/", 15, [])])


def chain():
    zero = "sha256:" + "0" * 64
    line = ('{"metadata":{"version":"1.3.0","product":{"name":"brig","vendor_name":"brig","version":"%s"},"log_name":'
            '"brig-audit","logged_time":5,"sequence":0,"previous":"%s"%s},"text":"x"}')
    with open(os.path.join(ROOT, "base", "version.h"), encoding="utf-8") as f:
        version = f.read().split("#define BRIG_VERSION")[1].split('"')[1]
    yield b"\0" + (line % (version, zero, "")).encode()
    yield b"\0" + (line % (version, zero, ',"torn":{"bytes":7,"digest":"%s"}' % zero)).encode()
    yield b"\0" + (line % ("9.9", zero, "")).encode()
    yield b"\0" + (line % (version, zero, "")).encode().replace(b',"product"', b', "product"')
    yield b"\0" + (line % (version, zero, "")).encode().replace(b'"1.3.0"', b'"1.3.1"')
    yield b'\1{"a":1,"b":{"c":["\xe2\x82\xac"]}}'
    yield b'\1{"metadata":1}'
    yield b'\1{"a":1,"metadata":{}}'
    yield b'\1{"a":"\n"}'
    yield b'\1{"a":1,"a":2}'
    yield b"\2" + bytes(29) + b"one\0two\0three\0"
    for how, at, value in ((0, 20, 1), (1, 200, 10), (2, 300, 0), (3, 290, 0), (3, 700, 0), (1, 0, 10)):
        yield b"\2\1" + bytes([how]) + struct.pack("<H", at) + bytes([value]) + bytes(24) + b"one\0two\0three\0"


def log():
    yield b"\0"
    yield b"\2"
    yield b"\2\n"
    yield b"\2torn"
    yield b"\2torn\nmore\n\n"
    yield b"\1" + b'{"metadata":{"version":"1.3.0"'
    for how, at, value in ((0, 20, 1), (1, 200, 10), (2, 250, 0), (3, 240, 0), (3, 600, 0), (1, 0, 10), (0, 800, 1)):
        yield b"\x83\1" + bytes([how]) + struct.pack("<H", at) + bytes([value])


def store():
    for mode in (0, 1, 4, 5):
        yield bytes([mode]) + damage() + b"content"
        yield bytes([mode]) + damage()
        for how, at in ((0, 0), (0, 8), (0, 38), (1, 0), (1, 39), (2, 7), (3, 0), (3, 7), (3, 20)):
            yield bytes([mode]) + damage((how, at, 1)) + b"content"
    for mode in (2, 3, 6, 7):
        yield bytes([mode]) + b"content that is long enough to have a trailer of its own"
        yield bytes([mode]) + b"x"


def client():
    def pieces(*lines, size=255):
        data = b"".join(line + b"\n" for line in lines)
        return b"".join(bytes([len(data[at:at + size])]) + data[at:at + size] for at in range(0, len(data), size))
    result = {"status": "exited", "stdout": "aGk=", "encoding": "base64"}
    answer = compact({"jsonrpc": "2.0", "id": 1, "result": result})
    error = compact({"id": 1, "error": {"code": -32001, "message": "no", "data": {"name": "x", "advice": "y"}}})
    yield pieces(answer, error)
    yield pieces(answer, compact({"jsonrpc": "2.0", "method": "run.output", "params": {}}), size=3)
    yield pieces(answer)[:-1]
    yield pieces(compact({"id": 1, "result": {"base64": "aGk="}}), compact({"id": 1, "result": {"base64": "aGk"}}))
    yield pieces(compact({"id": 1, "result": {"stdout": "text", "encoding": "utf-8"}}))
    yield pieces(compact({"id": 1, "result": {"stdout": "a\u0000b", "encoding": "x"}}))
    yield pieces(compact({"id": None, "error": {}}))
    yield pieces(compact({"id": 2, "result": 1}), compact({"id": 1}), compact({"id": 1, "error": 5}), b"[]", answer)
    yield pieces(compact({"id": 1, "error": {"message": "\u20ac" * 400, "data": {"name": "\u20ac" * 40}}}))


def config():
    yield b'{"socket":"/a","state":"/b","running_max":3,"profile":"container"}\0--queued-max=5\0--durability\0strict\0'
    yield b'{"keyring":"k","root_key":"r"}\0--state=x\0--daemon\0'
    yield b'{"keyring":"k"}'
    yield b'{"running_max":0}'
    yield b'{"running_max":99999}'
    yield b'{"runing_max":1}'
    yield b"[1]"
    yield b"{}\0--help\0"
    yield b"{}\0--runing-max=1\0"
    yield b"{}\0--running-max\0x\0"
    yield b'{"config":"x"}\0stray\0'
    yield b'{"default":{"queued_per_owner":4},"owners":{"1":{"weight":3,"running_per_owner":2},"root":{}}}'
    yield b'{"owners":{"0":{},"root":{"weight":1000}}}'
    yield b'{"owners":{"2":{"wieght":1}}}'
    yield b'{"default":{"weight":0}}'
    yield b'{"owners":{"nobody there":{"held_bytes_per_owner":1048576}}}'


def base64():
    for tried in (b"", b"aGk=", b"aGkK", b"aA==", b"aB==", b"aGk", b"aG k=", b"aGk=\n", b"a-_=", b"+/+/", b"\xe1aGk="):
        yield b"\2" + tried
    for byte in range(256):
        yield bytes([3, ord("A"), byte]) + b"AA"


def files():
    def ask(how, path, offset=0, length=100):
        return struct.pack("<BBHB", how, offset, length, len(path)) + path

    yield ask(1, b"") + ask(1, b"d") + ask(2, b"f") + ask(2, b"l") + ask(3, b"d/f") + ask(4, b"f") + ask(3, b"f", 2, 1)
    yield ask(3, b"l") + ask(3, b"u/secret") + ask(3, b"p") + ask(4, b"p") + ask(1, b"f") + ask(0x83, b"f") + ask(2, b"x")
    for path in (b"/", b".", b"..", b"../secret", b"d/..", b"d//f", b"d/", b"f\0", b"./f"):
        yield ask(2, b"f") + ask(3, path)
    yield ask(0, b"f")
    yield ask(5, b"f")
    yield ask(0xe2, b"f")
    yield ask(0xf2, b"f")


def apply():
    def change(kinds, base, content, *path):
        return bytes([kinds, base, content, len(path) - 1, *path])

    f, g, d, e, link, out, up, new, sub, makefile = 0, 1, 2, 3, 4, 5, 6, 13, 16, 12
    created, modified, deleted, directory, symlink = 0, 1, 2, 3, 6
    yield b"\1" + change(created, 7, 4, new)
    yield b"\1" + change(modified, 0, 4, f) + change(deleted, 1, 0, g) + change(modified, 2, 0, d, f)
    yield b"\1" + change(deleted + directory, 7, 0, d, e) + change(deleted, 2, 0, d, f) + \
        change(deleted + directory, 7, 0, d) + change(created + directory, 7, 0, sub) + change(created, 7, 3, sub, new)
    yield b"\1" + change(created + symlink, 7, 0, new) + bytes([1, d, e]) + change(deleted + symlink, 7, 0, link) + bytes([0, 0])
    yield b"\1" + change(modified + symlink, 0, 0, f) + bytes([0, g]) + change(modified + directory, 1, 0, g) + \
        change(created, 7, 1, g, new)
    yield b"\1" + change(created + directory, 7, 0, sub) + change(created, 7, 0, sub, makefile)
    yield b"\1" + change(modified, 7, 0, d) + change(deleted, 2, 0, d, f) + change(deleted + directory, 7, 0, d, e)
    for path in ((up, new), (out, new), (out,), (makefile,), (10, 11), (8, new), (20,), (21,), (9,), (f, new)):
        yield b"\1" + change(created, 7, 4, 17) + change(created, 7, 4, *path)
    yield b'\0{"changes":[{"path":"/w/n","change":"created","kind":"link","target":"f"}]}'
    yield b'\0{"changes":[{"path":"/w/n\\u0000","change":"created","kind":"directory"}],"changes_omitted":1}'


def text():
    yield b"\5h\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\xed\xa0\x80\xc0\x80\xf4\x90\x80\x80"
    yield b"\0" + b"2027-01-31T23:59:59Z"
    yield b"\0" + b"2028-02-29T00:00:00Z"
    yield b"\0" + b"2027-02-29T00:00:00Z"
    yield b"\0sha256:" + b"0f" * 32
    yield b"\0a\xe2\x80\xaeb\xe2\x80\xa8c\x1b[2Jd\xc2\x85e\xff"
    yield b"\1a\nb\tc\n\nd\x7f\n"


def wasi():
    """Calls at random; the first byte is what policy grants, and whether the files are the host's."""
    for number in range(40):
        policy_byte = number % 8 if number < 30 else 200 + number
        yield bytes([policy_byte]) + hashlib.shake_256(b"%d" % number).digest(100 * (number + 1))


ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
TARGETS = (apply, base64, chain, client, config, files, imsg, job, jsonrpc, keyring, keys, log, minisign, packs, policy, position,
           signature, store, text, wasi, worker)


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    for target in TARGETS:
        directory = os.path.join(sys.argv[1], target.__name__)
        os.makedirs(directory, exist_ok=True)
        for number, data in enumerate(target()):
            with open(os.path.join(directory, "seed-%02d" % number), "wb") as f:
                f.write(data)


if __name__ == "__main__":
    main()
