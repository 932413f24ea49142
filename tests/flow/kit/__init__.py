"""The kit of the flow tests: a node that writes logs, ends that receive them, and an oracle that compares the two.

    stamp      what a written line carries, so that it can be known again wherever it arrives
    kubelet    a node's log tree: pods, containers, rotation, restarts, deletion
    load       a process of its own that keeps containers busy
    oracle     counts what was lost, doubled, damaged, misattributed or out of order
    endpoint   an HTTP server with every bad habit
    broker     a real Kafka, read back by kcat
    mock       librdkafka's mock cluster, for errors that a real broker cannot be made to give
    collector  the program under test
    cluster    a Kubernetes cluster, fake or real, behind one face
    controller the other program under test
    case       the test case that ties them together
"""
