"""The tiny run without bf16 and dropout, for comparing one process with two: `accelerate launch tests/tiny_float32.py FOLDER`."""

import sys
from dataclasses import replace

from tiny import TINY, tiny_run

recipe = replace(TINY, bf16=False, net=replace(TINY.net, dropout=0.0), learning_rate=1e-3)
for _ in tiny_run(sys.argv[1], recipe=recipe):
    pass
