"""Julia beside Python's threads and signals: whose turn it is, Ctrl-C, and exceptions that signals raise."""

from __future__ import annotations

import ctypes
import signal
import threading
from typing import Any

# What a signal raised while Julia was at work: exception type, value and traceback. Julia fills it in.
_raised = (ctypes.c_void_p * 3)()


def connect(package: Any) -> None:
    """Tells Julia, once, where Python's functions are and that its first thread rests between calls.

    Only where Python started Julia: a Julia process that loaded Python has its own order.
    """
    python = ctypes.pythonapi
    functions = (python.PyEval_SaveThread, python.PyEval_RestoreThread, python.PyErr_CheckSignals, python.PyErr_Fetch)
    getattr(package, "python!")(
        *(ctypes.cast(function, ctypes.c_void_p).value for function in functions), ctypes.addressof(_raised)
    )
    rest, thread = package.resting()
    # Called from here and not from Julia, which would set the state back on its way out.
    ctypes.PYFUNCTYPE(ctypes.c_int8, ctypes.c_void_p)(int(rest))(int(thread))


def keep_ctrl_c() -> None:
    """Gives Ctrl-C back to Python: Julia told to handle signals has replaced its handler and blocked the signal."""
    handler = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is threading.main_thread() and handler is not None:
        signal.signal(signal.SIGINT, handler)
        if hasattr(signal, "pthread_sigmask"):
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


def raise_pending() -> None:
    """Raises what a signal raised during the call of Julia that has just ended, KeyboardInterrupt as a rule."""
    if _raised[0]:
        kind, value, traceback = _raised
        _raised[:] = [None, None, None]
        restore = ctypes.pythonapi.PyErr_Restore
        restore.argtypes, restore.restype = [ctypes.c_void_p] * 3, None
        restore(kind, value, traceback)
