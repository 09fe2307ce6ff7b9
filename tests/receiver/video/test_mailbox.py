import threading

import pytest

from thinair.receiver.video.mailbox import Mailbox

pytestmark = pytest.mark.quick


def test_the_newest_item_pushes_out_the_one_before_and_hands_it_back() -> None:
    mailbox: Mailbox[int] = Mailbox()
    assert mailbox.put(1) is None
    assert mailbox.put(2) == 1
    assert mailbox.get(0.0) == 2
    assert mailbox.get(0.0) is None


def test_every_item_is_either_read_or_handed_back() -> None:
    mailbox: Mailbox[int] = Mailbox()
    read: list[int] = []

    def reader() -> None:
        while not mailbox.closed:
            item = mailbox.get(0.01)
            if item is not None:
                read.append(item)

    thread = threading.Thread(target=reader)
    thread.start()
    pushed_out = [back for number in range(1, 5001) if (back := mailbox.put(number)) is not None]
    while len(read) + len(pushed_out) < 5000:
        pass
    mailbox.close()
    thread.join()
    assert sorted(read + pushed_out) == list(range(1, 5001))
    assert read == sorted(read)


def test_closing_wakes_the_reader() -> None:
    mailbox: Mailbox[int] = Mailbox()
    thread = threading.Thread(target=mailbox.get, args=(60.0,))
    thread.start()
    mailbox.close()
    thread.join(5.0)
    assert not thread.is_alive()


def test_a_woken_reader_has_nothing_and_what_comes_then_is_whole() -> None:
    box: Mailbox[int] = Mailbox()
    box.wake()
    assert box.get(5) is None
    box.put(1)
    box.wake()
    assert box.put(2) == 1
    assert box.get(5) == 2
