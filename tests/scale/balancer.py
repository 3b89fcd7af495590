"""What stands in front of several servers: one address, behind it whichever of them takes the connection first."""

from __future__ import annotations

import asyncio
import contextlib
from types import TracebackType


class Balancer:
    """Listens on a free port of this machine and passes each connection on to the first of ``ports`` that takes it."""

    def __init__(self, ports: list[int]) -> None:
        self.ports = ports
        self.port = 0

    async def __aenter__(self) -> Balancer:
        self._server = await asyncio.start_server(self._pass_on, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._server.close()
        await self._server.wait_closed()

    @property
    def address(self) -> str:
        """The one address."""
        return f"http://localhost:{self.port}"

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for port in list(self.ports):
            try:
                far_reader, far_writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                continue  # that server is down
            await asyncio.gather(_copy(reader, far_writer), _copy(far_reader, writer))
            return
        writer.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError, RuntimeError):  # RuntimeError: uvloop's, for a connection that is gone
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()
