"""The second, independent reader and engine for .mu8 files, written from formats/FORMAT.md alone.

It is the witness that the page says what the C++ code does, so it takes nothing from the other
tools: the standard library and numpy only. The files follow the page. A file is read and checked by
file_format.py (sections 2, 3, 4, 7), layers.py (5), parameters.py, scales.py (6), outputs.py and
reader.py (8, 11); sampling.py (9), arithmetic.py (5), real_math.py and prediction.py (10) run it.
command.py is tools/read_mu8.
"""
