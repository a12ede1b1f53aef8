"""A published Singer tap, installed by uv from the package index, reads feeds of ours: all, then what is new."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from spine.core.errors import ConfigError, SourceUnavailable

PROVES = "the published tap, on feeds of ours"


class Feed:
    """An RSS feed; `days` are those of January on which it has an entry."""

    def __init__(self) -> None:
        self.days: list[int] = []
        feed = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200 if self.path == "/news" else 404)
                self.end_headers()
                self.wfile.write(feed.text().encode() if self.path == "/news" else b"")

            def log_message(self, *_: Any) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/news"

    def text(self) -> str:
        entries = "".join(
            f"<item><guid>g{day}</guid><title>Größe {day}</title><link>http://example.com/{day}</link>"
            f"<description>Text {day}</description><pubDate>{day:02d} Jan 2026 10:00:00 GMT</pubDate></item>"
            for day in self.days
        )
        return f'<?xml version="1.0"?><rss version="2.0"><channel><title>News</title><link>x</link>{entries}</channel></rss>'


@pytest.fixture
def feed() -> Iterator[Feed]:
    made = Feed()
    threading.Thread(target=made.server.serve_forever, args=(0.05,), daemon=True).start()
    yield made
    made.server.shutdown()


def test_feeds_are_read_and_followed(reading: Any, feed: Feed) -> None:
    feed.days = [3, 4, 5]
    feeds = reading("feeds", "", extra={"feeds": feed.url})
    try:
        first = feeds.sync("entries")["entries"]
    except ConfigError as error:
        if "could not be installed" in error.message:
            pytest.skip("no package index can be reached")
        raise
    assert first["rows"] == 3
    assert feeds.keys("entries") == [f"{feed.url}|g{day}" for day in feed.days]
    told = feeds.records("entries")[0]
    assert (told["entry_title"], told["entry_summary"], told["feed_title"]) == ("Größe 3", "Text 3", "News")
    feed.days = [3, 4, 5, 8]
    assert set(feeds.sync("entries") and feeds.keys("entries", run=2)) <= {f"{feed.url}|g5", f"{feed.url}|g8"}
    assert f"{feed.url}|g8" in feeds.keys("entries", run=2)
    feed.server.shutdown()
    feed.server.server_close()
    with pytest.raises(SourceUnavailable, match="the tap ended with code"):
        feeds.sync("entries")
