"""mu8-sign beside OpenSSL: each checks what the other has signed; any change is found.

usage: test_signature.py MU8_SIGN      (skipped where openssl is missing)
"""

import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
MODEL = ROOT / "tests" / "data" / "golden" / "tiny_sigma4.mu8"
PROGRAM = ""
SKIPPED = 77


class Signature(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        shutil.copy(MODEL, self.folder / "net.mu8")
        for name in ("one", "other"):
            self.openssl("genpkey", "-algorithm", "ed25519", "-out", f"{name}.secret")
            self.openssl("pkey", "-in", f"{name}.secret", "-pubout", "-out", f"{name}.public")

    def openssl(self, *arguments):
        subprocess.run(["openssl", *arguments], cwd=self.folder, check=True, capture_output=True)

    def run_sign(self, *arguments):
        return subprocess.run([PROGRAM, *arguments], cwd=self.folder, capture_output=True, text=True, check=False)

    def refused(self, code, says, *arguments):
        before = sorted(path.name for path in self.folder.iterdir())
        done = self.run_sign(*arguments)
        self.assertEqual(done.returncode, code, done.stderr)
        self.assertIn(says, done.stderr + done.stdout)
        self.assertEqual(sorted(path.name for path in self.folder.iterdir()), before)

    def test_openssl_verifies_ours(self):
        self.assertEqual(self.run_sign("sign", "--key", "one.secret", "net.mu8").returncode, 0)
        self.assertEqual((self.folder / "net.mu8.sig").stat().st_size, 64)
        self.openssl("pkeyutl", "-verify", "-pubin", "-inkey", "one.public", "-rawin", "-in", "net.mu8", "-sigfile",
                     "net.mu8.sig")
        self.assertEqual(self.run_sign("verify", "--key", "one.public", "net.mu8").returncode, 0)

    def test_we_verify_openssl(self):
        self.openssl("pkeyutl", "-sign", "-inkey", "one.secret", "-rawin", "-in", "net.mu8", "-out", "a.sig")
        done = self.run_sign("verify", "--key", "one.public", "--signature", "a.sig", "net.mu8")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.refused(1, "do not use it", "verify", "--key", "other.public", "--signature", "a.sig", "net.mu8")

    def test_any_change_is_found(self):
        self.run_sign("sign", "--key", "one.secret", "net.mu8")
        whole, tried = (self.folder / "net.mu8").read_bytes(), 0
        for at in range(0, len(whole), 97):
            changed = bytearray(whole)
            changed[at] ^= 1 << at % 8
            (self.folder / "net.mu8").write_bytes(changed)
            self.refused(1, "do not use it", "verify", "--key", "one.public", "net.mu8")
            tried += 1
        for wrong in (whole[:-1], whole + b"\0"):
            (self.folder / "net.mu8").write_bytes(wrong)
            self.refused(1, "do not use it", "verify", "--key", "one.public", "net.mu8")
        self.assertGreater(tried, 15)

    def test_wrong_files(self):
        self.refused(1, "no such file", "sign", "--key", "missing", "net.mu8")
        self.refused(1, "PEM of PRIVATE KEY", "sign", "--key", "one.public", "net.mu8")
        self.refused(1, "PEM of PUBLIC KEY", "verify", "--key", "one.secret", "net.mu8")
        self.refused(1, "no such file, expected a signature", "verify", "--key", "one.public", "net.mu8")
        (self.folder / "net.mu8.sig").write_bytes(b"short")
        self.refused(1, "has 5 bytes, expected a signature of 64", "verify", "--key", "one.public", "net.mu8")
        self.openssl("genpkey", "-algorithm", "x25519", "-out", "x.secret")
        self.refused(1, "a key of another kind", "sign", "--key", "x.secret", "net.mu8")
        self.refused(1, "is the file to sign", "sign", "--key", "one.secret", "--signature", "net.mu8", "net.mu8")
        self.refused(2, "--key is required", "sign", "net.mu8")
        self.refused(2, "subcommand is required")


if __name__ == "__main__":
    PROGRAM = str(pathlib.Path(sys.argv.pop(1)).resolve())
    if shutil.which("openssl") is None:
        print("skipped: openssl is missing")
        sys.exit(SKIPPED)
    unittest.main()
