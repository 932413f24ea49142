"""A Kubernetes API server for tests, in one process and with nothing but the standard library.

    kinds      what resources there are, and what is particular about each
    matching   selectors, node affinity, taints
    patch      the three kinds of patch
    admission  defaults and refusals
    events     the two faces of an event
    store      objects, versions, history; what create, update and delete mean
    players    the rest of a cluster: scheduler, node lifecycle, garbage collectors
    kubelet    what becomes of a bound pod
    faults     rules by which requests fail, and the log of all requests
    rbac       who may do what
    table      what kubectl shows
    protobuf   what kubectl sends that is not JSON
    server     HTTP

It is as strict as the real one wherever a controller could depend on it, and keeps silent about the rest: no admission but service accounts
and default tolerations, no schema but defaults, no quota (a fault rule can refuse), every kind in one stored version.
"""
