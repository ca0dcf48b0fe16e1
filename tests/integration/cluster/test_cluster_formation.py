"""Hosts form a Ray cluster, and leave it again: real `ray start`, real sockets, a process a host."""


def test_two_hosts_form_a_cluster_and_end_when_the_first_is_done(start):
    worker, head = start("algo-2"), start("algo-1")
    head.says("formed")
    worker.says("joined")
    head.tell("done")
    assert head.says("ends") == "ends"
    worker.says("over")
    assert (head.ends(), worker.ends()) == (0, 0)
    assert len(head.descendants) > 3
    assert len(worker.descendants) > 2
    assert (head.left(), worker.left()) == ([], [])
