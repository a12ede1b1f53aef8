"""What a message says is told, whatever of it is broken, and nothing that somebody sends makes it take long."""

from __future__ import annotations

import hashlib
import json
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spine.sources.imap.messages import LETTERS, described

WHOLE = b"""From: =?utf-8?B?w5xyc3VsYQ==?= <ursula@example.com>
To: team: ann@example.com, "Cole, Bob" <bob@example.com>;
Subject: =?iso-8859-1?Q?Gr=FC=DFe?= =?utf-8?Q?_aus_K=C3=B6ln?=
Message-ID: <3@example.com>
In-Reply-To: <2@example.com>
References: <1@example.com>
 <2@example.com>
Date: Mon, 05 Jan 2026 10:00:00 +0100
Content-Type: multipart/mixed; boundary=x

--x
Content-Type: multipart/alternative; boundary=y

--y
Content-Type: text/html

<p>as HTML</p>
--y
Content-Type: text/plain; charset=latin-1
Content-Transfer-Encoding: quoted-printable

sch=F6n
--y--
--x
Content-Type: application/pdf
Content-Disposition: attachment
Content-Transfer-Encoding: base64

AAAA
--x
Content-Type: image/png; name="=?utf-8?Q?b=C3=BCld.png?="
Content-Disposition: inline; filename="..\\\\..\\\\b.png"

x
--x
Content-Type: message/rfc822

Subject: inside

the text of another letter
--x--
"""


def test_a_whole_letter_is_told():
    found = described(WHOLE)
    assert found["from"] == {"name": "Ürsula", "email": "ursula@example.com"}
    assert found["to"] == [{"name": None, "email": "ann@example.com"}, {"name": "Cole, Bob", "email": "bob@example.com"}]
    assert (found["subject"], found["text"]) == ("Grüße aus Köln", "schön")
    assert (found["message_id"], found["thread_id"], found["in_reply_to"]) == ("<3@example.com>", "<1@example.com>", "<2@example.com>")
    assert found["date"] == "2026-01-05T09:00:00.000000Z"
    assert [(one["name"], one["type"], one["inline"]) for one in found["attachments"]] == [
        (None, "application/pdf", False), ("b.png", "image/png", True), (None, "message/rfc822", False)
    ]  # fmt: skip
    assert found["attachments"][0]["sha256"] == hashlib.sha256(b"\0\0\0").hexdigest()
    assert found["attachments"][0]["size"] == 3


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        pytest.param(b"", {"subject": None, "from": None, "text": "", "attachments": []}, id="nothing"),
        pytest.param(b"no header\xff", {"text": "no headerÿ"}, id="no header at all"),
        pytest.param(b"Subject: caf\xc3\xa9\n\n", {"subject": "café"}, id="UTF-8 in a header"),
        pytest.param(b"Subject: caf\xe9\n\n", {"subject": "café"}, id="Latin-1 in a header"),
        pytest.param(b"Subject: =?klingon?Q?caf=C3=A9?=\n\n", {"subject": "café"}, id="an encoding that nobody knows"),
        pytest.param(b"Subject: =?utf-8?B?!?=\n\n", {"subject": ""}, id="base64 that is none"),
        pytest.param(b"Content-Type: text/plain; charset=nonsense\n\n\xe9", {"text": "é"}, id="a charset that nobody knows"),
        pytest.param(b"Content-Type: text/plain\n\na\0b", {"text": "ab"}, id="no U+0000"),
        pytest.param(b"From: <>\nTo: ,,;\n\n", {"from": None, "to": [], "recipient": None}, id="addresses that are none"),
        pytest.param(b"From: Bob\n\n", {"from": {"name": "Bob", "email": None}}, id="a name alone"),
        pytest.param(b"Date: never\n\n", {"date": None}, id="no date"),
        pytest.param(b"Date: Fri, 31 Dec 9999 23:59:00 -2359\n\n", {"date": None}, id="a date behind all"),
        pytest.param(
            b"Content-Type: text/html\n\n<head>t</head><style>x</style><!-- no <b> --><p>Hi&nbsp;<b>you</b><br>there</p>",
            {"text": "Hi you\nthere"},
            id="HTML alone",
        ),
        pytest.param(b"Content-Type: ;;;\nContent-Disposition: ;=;\n\nx", {"text": "x"}, id="parameters that are none"),
        pytest.param(b"Content-Type: multipart/mixed\n\nx", {"text": None}, id="parts without a boundary"),
    ],
)
def test_what_is_broken_costs_itself_alone(raw, says):
    found = described(raw)
    assert {name: found[name] for name in says} == {name: value or None if name == "subject" else value for name, value in says.items()}


@pytest.mark.parametrize(
    "raw",
    [
        b"".join(b"Content-Type: multipart/mixed; boundary=%d\n\n--%d\n" % (number, number) for number in range(3000)),
        b"Content-Type: multipart/mixed; boundary=x\n\n" + b"--x\n\n" * 100_000,
        b"To: " + b"a@b.c, " * 20_000 + b"\n\n", b"From: " + b"(" * 9000 + b"\n\n", b"From: " + b'"a" ' * 2000 + b"\n\n",
        b"Subject: " + b"=?utf-8?Q?x?= " * 8000 + b"\n\n", b"References: " + b"<a" * 50_000 + b"\n\n",
        b"Content-Type: text/html\n\n" + b"<a " * 300_000 + b"<!" * 100_000, b"Content-Type: text/html\n\n" + b"<" * 1_000_000,
        b"Content-Type: text/plain; " + b"a*1=x; " * 10_000 + b"\n\nx", b"x: y\n" * 200_000,
        b"Content-Disposition: attachment; " + b"filename*0=b;" * 300_000 + b"\n\nx",
        b"Content-Type: multipart/mixed; " + b"boundary*0=b;" * 300_000 + b"\n\nx",
    ],
    ids=range(13),
)  # fmt: skip
def test_what_somebody_builds_to_take_long_takes_no_more_than_its_size(raw):
    began = time.process_time()
    described(raw)
    assert time.process_time() - began < 3


def test_a_long_text_is_cut_and_says_so():
    found = described(b"\n\n" + b"x" * (LETTERS + 1))
    assert (len(found["text"]), found["text_cut"]) == (LETTERS, True)


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=300), st.sampled_from([b"", b"From: ", b"Subject: =?", WHOLE[:900], b"Content-Type: multipart/mixed; boundary="]))
def test_whatever_is_sent_becomes_json(raw, before):
    json.dumps(described(before + raw), ensure_ascii=False).encode()
