"""One object for all threads, also when they are the first together."""

import threading
import time

from serving.once import Once


def test_threads_that_come_first_together_share_one_object() -> None:
    made: list[object] = []

    @Once
    def client() -> object:
        time.sleep(0.05)
        made.append(object())
        return made[-1]

    together = threading.Barrier(8)
    got: list[object] = []

    def call() -> None:
        together.wait()
        got.append(client())

    threads = [threading.Thread(target=call) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(made) == 1
    assert len({id(one) for one in got}) == 1

    client.cache_clear()
    assert client() is not got[0]
