"""``python -m channels.serve run ...``: Rasa's own command line, starting faster.

Rasa imports some six thousand modules, and Python's cyclic garbage collector walks over all of them again and again meanwhile: a quarter of
the start-up time. Here it rests until the server is ready (channels/server.py wakes it). `rasa run` itself works just the same.
"""

from __future__ import annotations

import gc

gc.disable()

from rasa.__main__ import main  # noqa: E402 - the collector must rest first

if __name__ == "__main__":
    main()
