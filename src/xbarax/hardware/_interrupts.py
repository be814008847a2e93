"""Ctrl-C while a driver in Python runs."""

import _thread
import signal
import threading
from types import FrameType, TracebackType

# By then, whoever made the call has returned to Python.
_SECONDS_AFTER = 0.01


class InterruptLater:
    """Lets what is inside end before Ctrl-C interrupts the program; a second one does at once.

    An exception inside of a driver's call would be the call's failure, and the program go on.
    """

    def __enter__(self) -> None:
        self._noted = False
        # Signals come to the main thread alone, which alone can ask for them.
        self._waits = (
            threading.current_thread() is threading.main_thread()
            and signal.getsignal(signal.SIGINT) is signal.default_int_handler
        )
        if self._waits:
            signal.signal(signal.SIGINT, self._note)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self._noted:
            raise KeyboardInterrupt
        self._noted = True

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if not self._waits:
            return
        signal.signal(signal.SIGINT, signal.default_int_handler)
        if self._noted:
            threading.Timer(_SECONDS_AFTER, _thread.interrupt_main).start()
