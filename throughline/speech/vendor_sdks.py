"""Lets the speech vendors' SDKs be imported beside Rasa's version of websockets.

Rasa 3.6 needs websockets 10, and the SDKs import parts that websockets has only since version 13, though what we use of them
(streaming over websockets' older client, and over HTTP) never calls these parts. Whoever imports an SDK calls ``prepare`` first.
"""

from __future__ import annotations

import importlib.util
import sys
import threading
import types
from typing import NoReturn

import websockets
from websockets.version import version

_NAMES = ("connect", "serve", "Connection", "ClientConnection", "ServerConnection")
_MISSING = ("sync", "asyncio")
_PARTS = ("client", "connection", "server")
_once = threading.Lock()  # ears and voices are warmed up beside each other


class NotInThisVersion:
    """Stands for a class or function that this version of websockets lacks. Using it is a fault."""

    def __init__(self, *_: object, **__: object) -> None:
        _refuse()


def prepare() -> None:
    """Register stand-ins for what websockets 10 lacks. Does nothing where it is there, or was done before. From any thread."""
    with _once:
        _register()


def _register() -> None:
    for name in _MISSING:
        package = f"websockets.{name}"
        if package in sys.modules or importlib.util.find_spec(package) is not None:
            continue
        parent = types.ModuleType(package)
        parent.__path__ = []
        sys.modules[package] = parent
        setattr(websockets, name, parent)
        for part in _PARTS:
            module = types.ModuleType(f"{package}.{part}")
            for stand_in in _NAMES:
                setattr(module, stand_in, NotInThisVersion)
            sys.modules[module.__name__] = module
            setattr(parent, part, module)


def _refuse() -> NoReturn:
    raise RuntimeError(f"websockets {version} has no such thing: Rasa needs this version, use the SDK's other way")
