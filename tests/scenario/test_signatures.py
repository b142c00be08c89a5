"""Nothing runs but what a known key signed: each reason for refusal has its own error."""

import json
import os
import tempfile
import time

import harness
from harness import b64, brig, guest, must

# (module (memory (export "memory") 1) (func (export "_start")))
SMALL = bytes.fromhex("0061736d01000000" "010401600000" "03020100" "0503010001"
                      "071302066d656d6f72790200065f73746172740000" "0a040102000b")


class Signatures(harness.Scenario):
    def setUp(self):
        super().setUp()
        self.hello = guest("hello")

    def run_module(self, module):
        return self.client.call("run", {"module": module})

    def refused(self, name, module):
        return self.assert_rpc_error(name, "run", {"module": module})

    def new_key(self, name, *options):
        path = os.path.join(self.keys.directory, name)
        must(brig("keygen", "-o", path))
        self.keys.edit("add", "--name", name, "--key", path + ".pub", *options)
        return path

    def reload(self):
        """Another brigd, on the keyring as it now is."""
        self.brigd.stop()
        type(self).brigd = harness.Brigd(self.brigd.directory, self.keys, self.policy, self.options)
        self.client.close()
        self.client = self.brigd.client()

    def test_embedded_signature(self):
        result = self.run_module({"wasm": b64(self.keys.sign(self.hello))})
        self.assertEqual(result["status"], "exited")
        self.assertTrue(result["module"]["signer"])

    def test_detached_signature(self):
        result = self.run_module({"wasm": b64(self.hello), "signature": self.keys.sign(self.hello, detached=True)})
        self.assertEqual(result["status"], "exited")

    def test_both_must_hold(self):
        signed = self.keys.sign(self.hello)
        good = self.keys.sign(signed, detached=True)
        self.assertEqual(self.run_module({"wasm": b64(signed), "signature": good})["status"], "exited")
        other = self.keys.sign(self.hello, detached=True)
        self.refused("bad_signature", {"wasm": b64(signed), "signature": other})

    def test_unsigned(self):
        self.refused("unsigned_module", {"wasm": b64(self.hello)})

    def test_tampered_module(self):
        signed = bytearray(self.keys.sign(self.hello))
        signed[-1] ^= 1
        self.refused("bad_signature", {"wasm": b64(bytes(signed))})
        detached = self.keys.sign(self.hello, detached=True)
        self.refused("bad_signature", {"wasm": b64(self.hello + b"\0\1\0"), "signature": detached})

    def test_tampered_signature(self):
        detached = self.keys.sign(self.hello, detached=True)
        lines = detached.splitlines()
        lines[2] = lines[2] + " changed"
        self.refused("bad_signature", {"wasm": b64(self.hello), "signature": "\n".join(lines) + "\n"})
        self.refused("bad_signature", {"wasm": b64(self.hello), "signature": "nonsense"})
        self.refused("bad_signature", {"wasm": b64(self.hello), "signature": detached + "more\n"})

    def test_unknown_key(self):
        path = os.path.join(self.keys.directory, "stranger")
        must(brig("keygen", "-o", path))
        self.refused("unknown_key", {"wasm": b64(self.keys.sign(self.hello, path))})
        self.refused("unknown_key", {"wasm": b64(self.hello), "signature": self.keys.sign(self.hello, path, True)})

    def test_revoked_key(self):
        path = self.new_key("revoked")
        signed = self.keys.sign(self.hello, path)
        self.reload()
        self.assertEqual(self.run_module({"wasm": b64(signed)})["status"], "exited")
        self.keys.edit("revoke", "revoked")
        self.reload()
        self.refused("revoked", {"wasm": b64(signed)})

    def test_revoked_module(self):
        signed = self.keys.sign(guest("guest") + b"\0\2\1x")
        self.keys.edit("revoke-module", harness.digest(signed))
        self.reload()
        self.refused("revoked", {"wasm": b64(signed)})

    def test_expired_key(self):
        path = self.new_key("expired", "--valid-from", "2020-01-01", "--valid-to", "2021-01-01")
        signed = self.keys.sign(self.hello, path)
        self.reload()
        self.refused("expired", {"wasm": b64(signed)})

    def test_key_that_does_not_count_yet(self):
        path = self.new_key("later", "--valid-from", "+10d")
        signed, detached = self.keys.sign(self.hello, path), self.keys.sign(self.hello, path, True)
        self.reload()
        self.refused("expired", {"wasm": b64(signed)})
        self.refused("expired", {"wasm": b64(self.hello), "signature": detached})

    def test_not_one_flipped_bit_of_a_signed_module_runs(self):
        inside, detached = self.keys.sign(SMALL), self.keys.sign(SMALL, detached=True)
        for wasm, extra in ((inside, {}), (SMALL, {"signature": detached})):
            self.assertEqual(self.run_module(dict(extra, wasm=b64(wasm)))["status"], "exited")
            flipped = [wasm[:i] + bytes([wasm[i] ^ 1 << bit]) + wasm[i + 1:]
                       for i in range(len(wasm)) for bit in range(8)]
            batch = [{"jsonrpc": "2.0", "id": i, "method": "run", "params": {"module": dict(extra, wasm=b64(f))}}
                     for i, f in enumerate(flipped)]
            answers = []
            for at in range(0, len(batch), 500):
                answers += self.client.ask(json.dumps(batch[at:at + 500]).encode())
            self.assertEqual(sorted(a["id"] for a in answers), list(range(len(batch))))
            names = {a["error"]["data"]["name"] for a in answers}  # each has an error, or this fails
            self.assertLessEqual(names, {"bad_signature", "unknown_key", "unsigned_module", "module_invalid"})

    def test_stored_module_is_checked_again_when_its_key_is_revoked(self):
        path = self.new_key("later-revoked")
        self.reload()
        stored = self.client.call("module.put", {"wasm": b64(self.keys.sign(self.hello, path))})
        self.assertEqual(self.run_module({"digest": stored["digest"]})["status"], "exited")
        self.keys.edit("revoke", "later-revoked")
        self.reload()
        self.refused("revoked", {"digest": stored["digest"]})

    def test_unsigned_module_is_not_stored(self):
        self.assert_rpc_error("unsigned_module", "module.put", {"wasm": b64(self.hello)})

    def test_keyring_that_was_changed_by_hand_is_refused(self):
        with tempfile.TemporaryDirectory(dir=self.directory) as d:
            keys = harness.Keys(os.path.join(d, ""))
            with open(keys.keyring, "ab") as f:
                f.write(b" ")
            with self.assertRaises(AssertionError) as caught:
                harness.Brigd(d, keys)
            self.assertIn("keyring", str(caught.exception))

    def test_expired_keyring_is_refused_at_the_start(self):
        with tempfile.TemporaryDirectory(dir=self.directory) as d:
            keys = harness.Keys(os.path.join(d, ""))
            keys.edit("expire", "--keyring-expires", "now")
            with self.assertRaises(AssertionError) as caught:
                harness.Brigd(d, keys)
            self.assertIn("the keyring expired", str(caught.exception))

    def brigd_whose_keyring_expires_soon(self, directory, keys):
        for seconds in (2, 10, 50):  # a busy machine may need more than that to start it
            at = time.gmtime(time.time() + seconds)
            keys.edit("expire", "--keyring-expires", time.strftime("%Y-%m-%dT%H:%M:%SZ", at))
            try:
                return harness.Brigd(directory, keys)
            except AssertionError as error:
                self.assertIn("the keyring expired", str(error))
        self.fail("brigd does not start within 50 seconds")

    def test_keyring_that_expires_is_not_used_any_more(self):
        with tempfile.TemporaryDirectory(dir=self.directory) as d:
            os.chmod(d, 0o711)
            keys = harness.Keys(os.path.join(d, ""))
            module = {"module": {"wasm": b64(keys.sign(self.hello))}}
            brigd = self.brigd_whose_keyring_expires_soon(d, keys)
            try:
                with brigd.client() as client, self.assertRaises(harness.RpcError) as caught:
                    harness.wait_until(lambda: client.call("run", module)["status"] != "exited", "the keyring expires")
                self.assertEqual(caught.exception.name, "expired")
            finally:
                brigd.stop()

    def test_older_keyring_is_refused_after_a_newer_one_was_seen(self):
        with tempfile.TemporaryDirectory(dir=self.directory) as d:
            keys = harness.Keys(os.path.join(d, ""))
            old = {}
            for name in (keys.keyring, keys.keyring + ".minisig"):
                with open(name, "rb") as f:
                    old[name] = f.read()
            keys.edit("revoke", "signer")
            harness.Brigd(d, keys).stop()
            for name, data in old.items():
                with open(name, "wb") as f:
                    f.write(data)
            with self.assertRaises(AssertionError) as caught:
                harness.Brigd(d, keys)
            self.assertIn("version", str(caught.exception))


class Optional(harness.Scenario):
    """A ceiling that lets unsigned modules run."""

    policy = {"version": 1, "args": True, "clock": "real", "random": "real",
              "signature": {"module": "optional", "source": "optional"}}

    def test_unsigned_module_runs(self):
        result = self.client.call("run", {"module": {"wasm": b64(guest("hello"))}})
        self.assertEqual((result["status"], result["module"]["signer"] or None), ("exited", None))

    def test_tampered_module_does_not(self):
        signed = bytearray(self.keys.sign(guest("hello")))
        signed[-1] ^= 1
        self.assert_rpc_error("bad_signature", "run", {"module": {"wasm": b64(bytes(signed))}})


if __name__ == "__main__":
    harness.main()
