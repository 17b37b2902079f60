"""The HTTP side of a server: one session, its key, its proxy, and what its refusals mean."""

from __future__ import annotations

import io
import os
import urllib.request
from collections.abc import Callable
from urllib.parse import urlsplit

import aiohttp
from yarl import URL

from lpt_core import EndpointError
from lpt_synth.config import OpenAIEndpoint
from lpt_synth.engines.faults import Fault, Redactor, of_exception, of_status
from lpt_synth.engines.load import MOST_BYTES
from lpt_synth.engines.retry import CONNECT_S, retry_after_s

_LARGE = 1 << 20
"""Bytes from which aiohttp wants a body as a stream, and warns of anything else."""

_JSON = {"Content-Type": "application/json"}
_LOOK = aiohttp.ClientTimeout(total=10)
_GONE = (502, 503, 504)  # a gateway is there, and nobody behind it


class Connection:
    """Talks to one server, and says what came back: bytes, or why there are none.

    The environment's proxy is looked up once, not for each request, and a loopback address never goes
    through it. ``.netrc`` is not read: the key comes from the variable that the configuration names.

    Args:
        endpoint: Whose server it is.
        url: Where it is, up to and including /v1.

    Attributes:
        redact: Makes what the server says fit to be shown.
        sent: Requests sent since the beginning; looks at how the server does are not counted.
    """

    def __init__(self, endpoint: OpenAIEndpoint, url: str) -> None:
        self.endpoint = endpoint
        self.url = url
        self.redact = Redactor(None)
        self.sent = 0
        self._urls = {path: URL(f"{url}/{path}") for path in ("chat/completions", "completions")}
        self._session: aiohttp.ClientSession | None = None
        self._proxy: str | None = None

    def __repr__(self) -> str:
        return f"Connection({self.url!r})"

    async def open(self) -> None:
        """Read the key and get a session ready; nothing is sent.

        Raises:
            EndpointError: The key's variable is not set, or holds what no header can.
        """
        if self._session is not None:
            return
        headers = {"User-Agent": "lpt-synth"}
        if key := _key(self.endpoint):
            self.redact = Redactor(key)
            headers["Authorization"] = f"Bearer {key}"
        self._proxy = _proxy(self.url)
        timeout_s = self.endpoint.timeout_s
        self._session = aiohttp.ClientSession(
            headers=headers,
            connector=aiohttp.TCPConnector(limit=0),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=timeout_s, sock_connect=min(CONNECT_S, timeout_s)),
        )

    async def close(self) -> None:
        """Close all connections; harmless if there are none."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def post(self, path: str, body: bytes) -> bytes | Fault:
        """Send one request and wait for the whole answer. Never raises for what the network does.

        Args:
            path: "chat/completions", "completions", "batches".
            body: JSON.
        """
        url = self._urls.get(path) or URL(f"{self.url}/{path}")
        data = body if len(body) < _LARGE else io.BytesIO(body)
        return await self._send("POST", url, data, _JSON)

    async def upload(self, path: str, form: Callable[[], aiohttp.FormData]) -> bytes | Fault:
        """Post a form; see ``post``."""
        return await self._send("POST", URL(f"{self.url}/{path}"), form(), None)

    async def get(self, path: str) -> bytes | Fault:
        """Get what lies at a path, query included; see ``post``."""
        return await self._send("GET", URL(f"{self.url}/{path}"), None, None)

    async def _send(
        self,
        method: str,
        url: URL,
        data: bytes | io.BytesIO | aiohttp.FormData | None,
        headers: dict[str, str] | None,
    ) -> bytes | Fault:
        session = self._opened()
        self.sent += 1
        try:
            response = await session.request(
                method, url, data=data, headers=headers, proxy=self._proxy, allow_redirects=False
            )
            raw = await response.read()
        except (aiohttp.ClientError, OSError) as error:
            return of_exception(error, self.endpoint.timeout_s, self.redact)
        if 200 <= response.status < 300:
            return raw
        if location := response.headers.get("Location"):
            raw = f"moved to {location}".encode()
        return of_status(response.status, raw, retry_after_s(response.headers), self.redact)

    async def answers(self) -> bool:
        """Whether somebody is there who answers requests, be it with a refusal."""
        came = await self._look(f"{self.url}/models", 0)
        return came is not None

    async def metrics(self) -> bytes | None:
        """The server's page of metrics: b"" where it has none, None where nobody is there."""
        return await self._look(f"{self.url.removesuffix('/v1')}/metrics", MOST_BYTES)

    async def _look(self, url: str, most: int) -> bytes | None:
        """At most so many bytes of a page; b"" where it is refused, None where nobody is there."""
        page = bytearray()
        try:
            async with self._opened().get(
                URL(url), proxy=self._proxy, allow_redirects=False, timeout=_LOOK
            ) as response:
                if response.status in _GONE:
                    return None
                if response.status == 200 and most:
                    async for chunk in response.content.iter_chunked(1 << 16):
                        page += chunk
                        if len(page) >= most:
                            break
        except (aiohttp.ClientError, OSError):
            return None
        return bytes(page)

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            raise RuntimeError("open() comes before complete()")
        return self._session


def _key(endpoint: OpenAIEndpoint) -> str | None:
    name = endpoint.api_key_env
    if name is None:
        return None
    key = os.environ.get(name, "").strip()
    if not key:
        raise EndpointError(
            f"the environment variable {name}, which is to hold the key for {endpoint.urls[0]}, is not set.",
            f"export {name}=...; or leave out api_key_env for an endpoint without a key",
        )
    if not (key.isascii() and key.isprintable()):
        raise EndpointError(
            f"the environment variable {name} holds characters that no HTTP header can.",
            "set it again, to the key alone",
        )
    return key


def _proxy(url: str) -> str | None:
    parts = urlsplit(url)
    host = parts.hostname or ""
    if host in ("localhost", "::1") or host.startswith("127.") or urllib.request.proxy_bypass(host):
        return None
    proxies = urllib.request.getproxies()
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    if proxy and urlsplit(proxy).scheme not in ("http", "https"):
        raise EndpointError(
            f"the environment names a proxy for {host} that is neither http nor https.",
            f"set NO_PROXY={host}, or an http proxy",
        )
    return proxy


def stop_error(endpoint: OpenAIEndpoint, url: str, fault: Fault) -> EndpointError:
    """The error for a fault that no request to a server will get around: what it is, what to do."""
    status = f" (HTTP {fault.status})" if fault.status else ""
    key = endpoint.api_key_env
    what, remedy = "cannot be used", "see that base_url is right, up to and including /v1"
    if fault.kind == "connection":
        what, remedy = "has a certificate that cannot be verified", "set SSL_CERT_FILE to your authority's"
    elif fault.status == 401:
        what = "refuses the key" if key else "wants a key"
        remedy = (
            f"check what the environment variable {key} holds"
            if key
            else "name the environment variable that holds it in api_key_env"
        )
    elif fault.status in (402, 429):
        what, remedy = "says that the account has no credit left", "add credit, then run again"
    elif fault.status == 403:
        what = "forbids this"
        remedy = f"see that the key in {key or 'api_key_env'} may use the model {endpoint.model}"
    elif fault.status == 404:
        what = f"knows no model {endpoint.model!r}, or has no API at this path"
        remedy = "check model, and base_url up to and including /v1; GET base_url/models lists what there is"
    return EndpointError(f"{url} {what}{status}: {fault.message}", remedy)
