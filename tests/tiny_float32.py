"""The tiny run without bf16 and dropout, to compare one process with two: `torchrun` this file with FOLDER."""

import sys
from dataclasses import replace

from tiny import TINY, tiny_run

recipe = replace(TINY, bf16=False, net=replace(TINY.net, dropout=0.0), learning_rate=1e-3)
for _ in tiny_run(sys.argv[1], recipe=recipe):
    pass
