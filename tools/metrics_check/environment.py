"""The Python environment of tools/check_metrics, with the libraries that Debian does not have.

They come from PyPI, without their dependencies, into build/check_metrics/venv; everything else is
Debian's (`tools/setup metrics`). No import but the standard library: nothing else is there yet.
"""

import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
VENV = ROOT / "build" / "check_metrics" / "venv"
PACKAGES = ["netcal==1.3.6", "torchmetrics==1.4.3", "lightning-utilities==0.15.3",
            "MAPIE==1.2.0", "torch-uncertainty==0.4.0"]


def enter():
    """Runs this command again in its own environment, which is made when it is not there."""
    if pathlib.Path(sys.prefix) == VENV:
        return
    stamp = VENV / "packages.txt"
    if not stamp.exists() or stamp.read_text().split() != PACKAGES:
        try:
            subprocess.run(["/usr/bin/python3", "-m", "venv", "--clear", "--system-site-packages",
                            VENV], check=True)
            subprocess.run([VENV / "bin" / "pip", "install", "--quiet", "--no-deps", *PACKAGES],
                           check=True)
        except (OSError, subprocess.CalledProcessError) as problem:
            sys.exit(f"check_metrics: cannot make {VENV}: {problem}; "
                     "tools/setup metrics installs what it needs")
        stamp.write_text("\n".join(PACKAGES) + "\n")
    os.execv(VENV / "bin" / "python", [str(VENV / "bin" / "python"), *sys.argv])
