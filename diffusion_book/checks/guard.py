"""Calling a function that may do anything: raise, run for ever, or not be finished yet."""

import _thread
import contextlib
import linecache
import signal
import threading
import time
import traceback
from collections.abc import Callable


class Interrupted(Exception):
    """The function gave no answer; the message says why, for the person who wrote it."""

    def __init__(self, message: str, unfinished: bool = False):
        super().__init__(message)
        self.unfinished = unfinished


WAIT = 4.0  # how many limits may pass on the wall while the processor is busy with something else


class Stopwatch:
    """Counts the seconds that an answer has used, up to `limit`.

    Those of the processor count in full. Those on the wall count WAIT times less: beside other programs a right answer
    takes longer, and one that sleeps must end, too.
    """

    def __init__(self, limit: float):
        self.limit, self.wall, self.processor = limit, time.monotonic(), time.process_time()

    def left(self) -> float:
        wall, processor = time.monotonic() - self.wall, time.process_time() - self.processor
        return self.limit - max(min(wall, processor), wall / WAIT)


def call(function: Callable, arguments: tuple, watch: Stopwatch, signature: str):
    """function(*arguments) while seconds are left on the watch, or `Interrupted`.

    The clock interrupts the main thread as a person's Ctrl-C would, on every system. What computes inside one long
    library call cannot be interrupted so; the command line therefore runs checks in a process of their own.
    """
    with _Clock(watch) as clock:
        try:
            return function(*arguments)
        except KeyboardInterrupt:
            if not clock.struck:
                raise
            raise Interrupted(f"stopped after {watch.limit:.3g} s: is there a loop that does not end?") from None
        except SystemExit:
            raise Interrupted("your function ended the program: is there an exit() in it?") from None
        except Exception as error:
            if isinstance(error, NotImplementedError) and not str(error):  # torch's own say what is not implemented
                raise Interrupted(
                    "not written yet: replace `raise NotImplementedError` by your lines", unfinished=True
                ) from None
            raise Interrupted(_explain(error, function, signature)) from None


class _Clock:
    """Interrupts the main thread when the watch has run out, if it is the one that works."""

    def __init__(self, watch: Stopwatch):
        self.watch, self.struck, self.done, self.lock = watch, False, threading.Event(), threading.Lock()
        self.deaf = None

    def _run(self):
        while not self.done.wait(max(self.watch.left(), 0.01)):
            if self.watch.left() <= 0:
                break
        with self.lock:
            if not self.done.is_set():
                self.struck = True
                _thread.interrupt_main()

    def __enter__(self):
        if threading.current_thread() is threading.main_thread():
            # what a shell started in the background ignores Ctrl-C, and with it the interrupt
            handler = signal.getsignal(signal.SIGINT)
            if handler in (signal.SIG_IGN, signal.SIG_DFL):
                self.deaf = handler
                signal.signal(signal.SIGINT, signal.default_int_handler)
            threading.Thread(target=self._run, daemon=True).start()
        return self

    def __exit__(self, *_):
        with self.lock:
            self.done.set()
        if self.struck:  # the interrupt may still be on its way: let it arrive here, not in somebody else's line
            with contextlib.suppress(KeyboardInterrupt):
                time.sleep(0.05)
        if self.deaf is not None:
            signal.signal(signal.SIGINT, self.deaf)


REMEDIES = {
    "for ^": "In Python a power is written `**`; `^` works on bits.",
    "bitwise_xor": "In Python a power is written `**`; `^` works on bits.",
    "must match the size of tensor b": "A factor for each member of a batch has the shape (B,). To multiply (B, C, H, W) "
    "it needs the shape (B, 1, 1, 1), for (B, D) the shape (B, 1).",
}


def _explain(error: Exception, function: Callable, signature: str) -> str:
    """The error, and the line of the student's own code where it arose."""
    text = f"your function raised {type(error).__name__}" + (f": {error}" if str(error) else "")
    code = getattr(function, "__code__", None)
    frames = [f for f in traceback.extract_tb(error.__traceback__) if code and f.filename == code.co_filename]
    if frames:
        line = linecache.getline(frames[-1].filename, frames[-1].lineno).strip()
        text = f"{text}\nin line {frames[-1].lineno - code.co_firstlineno + 1} of your function: {line}"
        return "\n".join([text] + [remedy for words, remedy in REMEDIES.items() if words in str(error)])
    if isinstance(error, TypeError) and "argument" in str(error):
        return f"{text}\nIt is called as {signature}"
    return text
