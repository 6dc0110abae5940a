"""Builds tools/web and runs one part of its tests; 77, and says so, where a program is missing.

    /usr/bin/python3 tests/web/run.py module|page build/release/mu8 FOLDER

module: in node, and the types by tsc. page: in chromium. FOLDER takes the build.
"""

import importlib.util
import pathlib
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
NEEDS = {"module": ["em++", "node", "tsc"], "page": ["em++", "chromium", "chromedriver"]}


def run(*command):
    print("+", *command, flush=True)
    subprocess.run([str(word) for word in command], cwd=ROOT, check=True)


def main():
    part, command, folder = sys.argv[1:]
    missing = [name for name in NEEDS[part] if shutil.which(name) is None]
    if part == "page" and importlib.util.find_spec("selenium") is None:
        missing.append("selenium of Debian's python3")
    if missing:
        print(f"skipped: {', '.join(missing)} missing: tools/setup web")
        return 77
    try:
        run(ROOT / "tools/web/build", "--mu8", command, "--folder", folder)
        if part == "module":
            run("node", "tests/web/test_module.mjs", command, folder)
            package = pathlib.Path(folder).resolve() / "web" / "mu8"
            shutil.copyfile(ROOT / "tests/web/types.mts", package.parent / "types.mts")
            run("tsc", "--noEmit", "--strict", "--target", "es2022", "--lib", "es2022,dom",
                "--moduleResolution", "node16", "--module", "node16", package.parent / "types.mts")
            (package.parent / "types.mts").unlink()
        else:
            run(sys.executable, "tests/web/test_page.py", command, folder)
    except subprocess.CalledProcessError as problem:
        return problem.returncode
    return 0


if __name__ == "__main__":
    sys.exit(main())
