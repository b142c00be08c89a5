"""What a C program sees of its host: tests/guests/c/wasi.c checks it from the inside, here under the whole jail."""

import harness
from harness import guest


class Wasi(harness.Scenario):
    def test_libc_finds_the_host_as_it_should_be(self):
        result = self.run_guest(wasm=guest("wasi"), stdin="abc")
        lines = result["stdout"].splitlines()
        self.assertEqual([line for line in lines if line.startswith("not ok")], [])
        self.assertEqual(lines[-1], "0 failed")
        self.assertGreaterEqual(len(lines), 36)
        self.assert_exited(result)


if __name__ == "__main__":
    harness.main()
