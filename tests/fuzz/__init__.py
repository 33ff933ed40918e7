"""Fuzzing of whatever reads bytes that others wrote.

A target is a function of bytes that returns nothing. It may raise the errors its reader
declares; any other exception, more work than `watch.MOST_CALLS` per input, and in the command
more than 100 ms or 32 MB, is a finding. Each target also says what must hold of what was read.

    make fuzz                          the targets, and what each reads
    make fuzz TARGET=opcua SECONDS=60  Atheris, from the kept corpus on
    make fuzz TARGET=opcua ARGS=FILE   one input again, e.g. a crash that was saved
    make fuzz TARGET=opcua ARGS=--keep what the last runs found is kept, minimised

``make test`` reads every kept input and a bounded number of seeded mutations of them.
"""
