"""What the studies share that train posteriors, or take them, and run mu8 beside FP32.

variational.py  Bayesian layers of PyTorch, training, ensembles, export
libraries.py    posteriors that other libraries train
program.py      running mu8
"""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent.parent / "tools"))
