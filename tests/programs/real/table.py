"""The programs, one row each: what runs on the stack, and against what. tools/programs_docs.py makes the page of it.

A cell names the other side. test_table.py has a test for each cell.
"""

from typing import Any, NamedTuple

from tests.programs.real.apps import files, http1, names, quic, shells, small, stores, web


class Way(NamedTuple):
    """A server, the port by which it is known to have started, and the clients that ask it. `text` is the cell: the peer on the other side."""

    text: str
    server: Any
    port: int
    clients: tuple[Any, ...]
    #: commands that must be installed, as "command:Debian package"
    needs: tuple[str, ...] = ()


class No(NamedTuple):
    """A cell that does not work: the test shows the error."""

    text: str
    server: Any
    clients: tuple[Any, ...]
    #: a part of the error's text
    error: str
    needs: tuple[str, ...] = ()


class Row(NamedTuple):
    """A program: on the stack as a client and as a server, with the kernel at the other end; and both sides in virtual time."""

    key: str
    name: str
    #: the distributions whose versions the page names; "python" is the standard library
    packages: tuple[str, ...]
    client: Way | None
    server: Way | None
    virtual: Way | No | None
    took: str = ""


COLUMNS = ("client", "server", "virtual")
ROWS = (
    Row(
        "http.server", "http.server, urllib", ("python",),
        Way("http.server", http1.http_server, 80, (http1.urllib_client,)),
        Way("curl, Chromium", http1.http_server, 80, (http1.curl, http1.chromium), ("curl:curl", "chromium:chromium")),
        Way("urllib", http1.http_server, 80, (http1.urllib_client,)),
    ),
    Row(
        "requests", "requests, with TLS", ("requests",),
        Way("http.server", http1.https_server, 443, (http1.requests_client,)),
        None,
        Way("http.server", http1.https_server, 443, (http1.requests_client,)),
    ),
    Row(
        "urllib3", "urllib3, in threads", ("urllib3",),
        Way("http.server", http1.http_server, 80, (http1.urllib3_client,)),
        None,
        Way("http.server", http1.http_server, 80, (http1.urllib3_client,)),
    ),
    Row(
        "httpx", "httpx, with TLS", ("httpx",),
        Way("http.server", http1.https_server, 443, (http1.httpx_client, http1.httpx_async_client)),
        None,
        Way("http.server", http1.https_server, 443, (http1.httpx_client, http1.httpx_async_client)),
    ),
    Row(
        "aiohttp", "aiohttp, with WebSocket", ("aiohttp",),
        Way("aiohttp", web.aiohttp_server, 80, (web.aiohttp_client,)),
        Way("curl, websockets", web.aiohttp_server, 80, (http1.curl, web.curl_file, web.websockets_client), ("curl:curl",)),
        Way("aiohttp", web.aiohttp_server, 80, (web.aiohttp_client,)),
    ),
    Row(
        "uvicorn", "uvicorn with Starlette", ("uvicorn", "starlette"),
        None,
        Way("curl, websockets", web.uvicorn_server, 80, (http1.curl, web.curl_file, web.websockets_client), ("curl:curl",)),
        Way("urllib3, websockets", web.uvicorn_server, 80, (http1.urllib3_client, web.websockets_client)),
    ),
    Row(
        "sse", "Server-sent events", ("sse-starlette", "httpx-sse"),
        Way("uvicorn", web.uvicorn_server, 80, (web.sse_client,)),
        Way("curl", web.uvicorn_server, 80, (web.curl_events,), ("curl:curl",)),
        Way("uvicorn", web.uvicorn_server, 80, (web.sse_client,)),
    ),
    Row(
        "http2", "HTTP/2: hypercorn, httpx", ("hypercorn", "h2"),
        Way("nghttpd", web.nghttpd, 443, (web.http2_client,), ("nghttpd:nghttp2-server",)),
        Way("h2load", web.hypercorn_server, 443, (web.h2load,), ("h2load:nghttp2-client",)),
        Way("hypercorn", web.hypercorn_server, 443, (web.http2_client,)),
        "On the command line `hypercorn -w 0`, because its workers are other processes, in which the stack does not exist.",
    ),
    Row(
        "websockets", "websockets", ("websockets",),
        Way("aiohttp", web.aiohttp_server, 80, (web.websockets_client, web.websockets_sync_client)),
        Way("aiohttp", web.websockets_server, 80, (web.aiohttp_websocket,)),
        Way("websockets", web.websockets_server, 80, (web.websockets_client, web.websockets_sync_client)),
    ),
    Row(
        "http3", "HTTP/3: aioquic", ("aioquic",),
        Way("aioquic", quic.quic_server, 443, (quic.quic_client,)),
        Way("curl", quic.quic_server, 443, (quic.curl_http3,), ("curl:curl",)),
        Way("aioquic", quic.quic_server, 443, (quic.quic_client,)),
        "The client calls `create_datagram_endpoint`, because `aioquic.asyncio.connect` opens a socket of AF_INET6.",
    ),
    Row(
        "redis", "redis-py", ("redis",),
        Way("Valkey", stores.valkey, 6379, (stores.redis_client, stores.redis_async_client), ("valkey-server:valkey-server",)),
        None,
        Way("a small server", small.redis_server, 6379, (stores.redis_client, stores.redis_async_client)),
    ),
    Row(
        "asyncpg", "asyncpg", ("asyncpg",),
        Way("PostgreSQL", stores.postgres, 5432, (stores.asyncpg_client,), ("postgres:postgresql",)),
        None,
        Way("a small server", small.postgres_server, 5432, (small.asyncpg_rows,)),
    ),
    Row(
        "pg8000", "pg8000", ("pg8000",),
        Way("PostgreSQL", stores.postgres, 5432, (stores.pg8000_client,), ("postgres:postgresql",)),
        None,
        Way("a small server", small.postgres_server, 5432, (small.pg8000_rows,)),
    ),
    Row(
        "psycopg", "psycopg, in Python", ("psycopg",),
        Way("PostgreSQL, through a relay", stores.postgres, 5432, (stores.psycopg_client,), ("postgres:postgresql",)),
        None,
        No("no", small.postgres_server, (stores.psycopg_alone,), "cannot wait for files, pipes and Unix sockets"),
        "libpq opens the kernel's sockets, so it connects to a Unix socket, and 25 lines of Python relay that to the server. Virtual time cannot wait for libpq.",
    ),
    Row(
        "pymongo", "pymongo", ("pymongo", "nx-27017"),
        Way("NX-27017", stores.nx_27017, 27017, (stores.pymongo_client, stores.pymongo_async_client)),
        Way("pymongo", stores.nx_27017, 27017, (stores.pymongo_client,)),
        Way("NX-27017", stores.nx_27017, 27017, (stores.pymongo_client, stores.pymongo_async_client)),
    ),
    Row(
        "dnspython", "dnspython", ("dnspython",),
        Way("dnsmasq", names.dnsmasq, 53, (names.dns_client, names.dns_async_client), ("dnsmasq:dnsmasq-base",)),
        Way("dnspython", names.dns_server, 53, (names.dns_client,)),
        Way("dnspython", names.dns_server, 53, (names.dns_client, names.dns_async_client)),
    ),
    Row(
        "paramiko", "paramiko", ("paramiko",),
        Way("OpenSSH", shells.sshd, 22, (shells.paramiko_client,), ("sshd:openssh-server",)),
        None,
        Way("asyncssh", shells.asyncssh_server, 22, (shells.paramiko_client,)),
    ),
    Row(
        "asyncssh", "asyncssh", ("asyncssh",),
        Way("OpenSSH", shells.sshd, 22, (shells.asyncssh_client,), ("sshd:openssh-server",)),
        Way("OpenSSH", shells.asyncssh_server, 22, (shells.ssh,), ("ssh:openssh-client",)),
        Way("asyncssh", shells.asyncssh_server, 22, (shells.asyncssh_client,)),
    ),
    Row(
        "ftp", "ftplib, pyftpdlib", ("pyftpdlib",),
        Way("pyftpdlib", files.ftp_server, 21, (files.ftp_client,)),
        Way("curl", files.ftp_server, 21, (files.curl_ftp,), ("curl:curl",)),
        Way("pyftpdlib", files.ftp_server_select, 21, (files.ftp_client,)),
        "In virtual time `ioloop=Select()`, because the other loop keeps the kernel's `select.epoll` from its import.",
    ),
    Row(
        "smtp", "smtplib, aiosmtpd", ("aiosmtpd",),
        Way("aiosmtpd", files.smtp_server, 25, (files.smtp_client,)),
        Way("curl", files.smtp_server, 25, (files.curl_smtp,), ("curl:curl",)),
        Way("aiosmtpd", files.smtp_server, 25, (files.smtp_client,)),
    ),
)  # fmt: skip
