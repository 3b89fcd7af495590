"""The ``throughline`` command: run everything, check it, look into a conversation."""
