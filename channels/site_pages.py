"""The demo site at ``/demo``, and what a page needs to know of the company.

Rasa owns ``GET /`` and would answer it with a greeting of its own: a middleware sends visitors to the site instead.
"""

from __future__ import annotations

import mimetypes
from pathlib import Path

from sanic import Sanic
from sanic.exceptions import NotFound
from sanic.request import Request
from sanic.response import HTTPResponse, file, json, redirect

from channels.server import Server

_FOLDER = Path(__file__).parent / "site"
_HOME = "/demo/"
# rasa-webchat's styled-components write inline styles; scripts come from this site only.
_SECURITY_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: https:; font-src 'self' data:; "
        "connect-src 'self' ws: wss:; media-src 'self' blob: data:; object-src 'none'; base-uri 'self'; frame-ancestors 'self'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Permissions-Policy": "microphone=(self), camera=(), geolocation=()",
    "Cache-Control": "no-cache",
}


def mount_site(sanic: Sanic, server: Server) -> None:
    """Serve the site's files, the company's facts and the redirect from ``/``."""
    files = {str(path.relative_to(_FOLDER)): path for path in _FOLDER.rglob("*") if path.is_file()}

    async def home_instead_of_rasa(request: Request) -> HTTPResponse | None:
        return redirect(_HOME) if request.path == "/" and request.method in ("GET", "HEAD") else None

    async def page(_request: Request, name: str = "") -> HTTPResponse:
        # Only names that were there at start are served, so no path can lead out of the folder.
        path = files.get(name or "index.html")
        if path is None:
            raise NotFound(f"no page {name}")
        kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
        return await file(path, mime_type=kind, headers=dict(_SECURITY_HEADERS))

    async def without_slash(_request: Request) -> HTTPResponse:
        return redirect(_HOME)

    async def company(_request: Request) -> HTTPResponse:
        return json(server.app.business.public_facts(), headers={"Cache-Control": "no-cache"})

    sanic.register_middleware(home_instead_of_rasa, "request")
    sanic.add_route(company, "/demo/company.json", name="site_company")
    sanic.add_route(page, "/demo/", name="site_home", strict_slashes=True)
    sanic.add_route(without_slash, "/demo", name="site_without_slash", strict_slashes=True)
    sanic.add_route(page, "/demo/<name:path>", name="site_page")
