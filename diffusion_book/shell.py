"""How a command of this environment is called, for the lines that a reader is to paste."""

import shlex
import shutil
import sys
from pathlib import Path


def command(name: str) -> str:
    """A command by its name if the shell would find it, else by its full path."""
    ours = shutil.which(name, path=str(Path(sys.executable).parent))
    if ours is None or (found := shutil.which(name)) is not None and Path(found).samefile(ours):
        return name
    return shlex.quote(str(Path(ours).absolute()))
