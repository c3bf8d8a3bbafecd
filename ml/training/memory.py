"""Keeps the C library from giving memory back to the system between one step and the next.

A training step frees tens of megabytes and asks for them again at once. Handed back and fetched anew, every page costs
a fault, which on a virtual machine took up to half of the training time.
"""

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager

# Numbers of mallopt's parameters in glibc's malloc.h, and their defaults: the free memory above which some is given
# back, in bytes, and how many blocks may be mappings of their own, which always go back when they are freed.
TRIM_THRESHOLD, DEFAULT_TRIM_THRESHOLD = -1, 128 * 2**10
MOST_MAPPINGS, DEFAULT_MOST_MAPPINGS = -4, 65536
KEPT = 2**30


@contextmanager
def memory_kept() -> Iterator[None]:
    """Freed memory stays with the process until the end, up to 1 GB, and is then given back. Does nothing where the C
    library is not glibc."""
    library = _glibc()
    if library is None:
        yield
        return
    library.mallopt(TRIM_THRESHOLD, KEPT)
    library.mallopt(MOST_MAPPINGS, 0)
    try:
        yield
    finally:
        library.mallopt(TRIM_THRESHOLD, DEFAULT_TRIM_THRESHOLD)
        library.mallopt(MOST_MAPPINGS, DEFAULT_MOST_MAPPINGS)
        library.malloc_trim(0)


def _glibc() -> ctypes.CDLL | None:
    if not sys.platform.startswith("linux"):
        return None
    library = ctypes.CDLL(None)
    return library if hasattr(library, "mallopt") and hasattr(library, "malloc_trim") else None
