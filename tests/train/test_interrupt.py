import os
import signal

import pytest

from edgekit.train import interrupt
from edgekit.train.interrupt import stop_requested


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_first_signal_is_noted_and_handlers_come_back(number: int) -> None:
    before = signal.getsignal(number)
    with stop_requested() as stop:
        assert not stop()
        os.kill(os.getpid(), number)
        assert stop()
    assert signal.getsignal(number) is before


def test_one_ctrl_c_under_torchrun_is_two_signals() -> None:
    with stop_requested() as stop:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop()


def test_a_later_ctrl_c_interrupts_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interrupt, "GRACE_S", -1.0)
    with pytest.raises(KeyboardInterrupt), stop_requested():
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)


def test_outside_of_the_main_thread_nothing_is_noted() -> None:
    import threading

    seen = []

    def work() -> None:
        with stop_requested() as stop:
            seen.append(stop())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [False]
