"""TIME-WAIT: what is not among the values of lab 13."""

from pystack.testing.lab import MS, B, S, lab_net, sleep, stream
from pystack.testing.segments import SYN

R = 20 * MS


def test_a_syn_opens_what_is_in_time_wait():
    lab = lab_net(R // 2)
    listener = lab.listener()

    def serve():
        for _ in range(2):
            sock = yield listener.accept()
            sock.close()

    def dial():
        sock = stream(lab.a)
        sock.bind("", 5000)
        yield sock.connect(B, 80)
        yield sock.recv_all()
        sock.close()

    def twice():
        yield from dial()
        yield sleep(S)
        assert lab.b.stack.tcp.time_wait == 1
        yield from dial()

    lab.run(serve(), twice())
    assert sum(1 for seg in lab.log.sent["b"] if seg.has(SYN)) == 2
