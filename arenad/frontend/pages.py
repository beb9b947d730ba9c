"""The files of `web/`, in memory, and what is said with each page to the browser."""

from pathlib import Path

from aiohttp import web

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; connect-src 'self'; img-src 'self' data:; style-src 'self'; "
        "script-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}

CONTENT_TYPES = {
    ".css": "text/css",
    ".html": "text/html",
    ".js": "text/javascript",
    ".mjs": "text/javascript",
    ".json": "application/json",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".woff2": "font/woff2",
}


def _web_folder() -> Path:
    """`web/` beside the package in a checkout, inside it when installed."""
    package = Path(__file__).resolve().parent.parent
    inside = package / "web"
    return inside if inside.is_dir() else package.parent / "web"


def _load() -> dict[str, tuple[str, bytes]]:
    """Every file of the dashboard, in memory: the process may later be unable to read them."""
    folder = _web_folder()
    return {
        path.relative_to(folder).as_posix(): (
            CONTENT_TYPES.get(path.suffix, "application/octet-stream"),
            path.read_bytes(),
        )
        for path in folder.rglob("*")
        if path.is_file()
    }


FILES = _load()


def file(name: str) -> web.Response:
    """One of them, by its path below `web/`."""
    if name not in FILES:
        raise web.HTTPNotFound
    content_type, body = FILES[name]
    charset = "utf-8" if content_type.startswith("text/") else None
    return web.Response(body=body, content_type=content_type, charset=charset)
