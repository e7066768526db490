"""The parts of the pipeline example; the twin of examples/node/wordcount."""
