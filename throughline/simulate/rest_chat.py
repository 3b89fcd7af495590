"""A client of the chat's REST form, as an app, a kiosk or a server would be one (channels/chat_rest.py)."""

from __future__ import annotations

from types import TracebackType
from typing import Any

import httpx

_TIMEOUT_S = 40.0  # longer than the server takes to say that an answer is late


class RestCustomer:
    """One customer. ``session_id`` is what the server has issued; ``login`` the website's token, where the customer is logged in."""

    def __init__(self, address: str, *, session_id: str | None = None, login: str | None = None) -> None:
        """``address`` is the server's, ``http://host:port``."""
        self.session_id = session_id
        self.login = login
        self._http = httpx.AsyncClient(base_url=address, timeout=_TIMEOUT_S)

    async def __aenter__(self) -> RestCustomer:
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        await self._http.aclose()

    async def ask(self, text: str, **fields: Any) -> list[str]:
        """Say ``text``; the texts of the reply. Raises httpx.HTTPStatusError for a refusal."""
        answer = await self.say(text, **fields)
        answer.raise_for_status()
        told = answer.json()
        self.session_id = told["session_id"]
        return [str(message.get("text", "")) for message in told["messages"]]

    async def say(self, text: str, **fields: Any) -> httpx.Response:
        """Say ``text``; the server's whole answer."""
        return await self._post("messages", {"session_id": self.session_id, "message": text, **fields})

    async def history(self, **fields: Any) -> httpx.Response:
        """Ask what was said; the server's whole answer."""
        return await self._post("history", {"session_id": self.session_id, **fields})

    async def _post(self, entry: str, body: dict[str, Any]) -> httpx.Response:
        headers = {} if self.login is None else {"Authorization": f"Bearer {self.login}"}
        return await self._http.post(f"/webhooks/web_chat/{entry}", json=body, headers=headers)
