"""What cannot go together is told before anything is read: with file, line, field and the nearest right word."""

from __future__ import annotations

from pathlib import Path

import pytest

from spine.core.errors import ConfigError
from spine.sources.check import sound_source

FILE = """\
source: toys
label: Toys
domain: revops
{source}
streams:
  - name: things
    key: [id]
    entity: person
    mapping: {{fields: {{email: email}}}}
{stream}
"""
CURSOR = "    cursor: {field: at, since: since"


def check(folder: Path, monkeypatch: pytest.MonkeyPatch, stream: str, source: str = "") -> str:
    (folder / "toys.yaml").write_text(FILE.format(source=source or "tier: standard", stream=stream), encoding="utf-8")
    monkeypatch.setenv("SPINE_SOURCES", str(folder))
    try:
        sound_source("toys")
    except ConfigError as error:
        return "\n".join(map(str, error.mistakes))
    return ""


@pytest.mark.parametrize(
    ("stream", "told"),
    [
        ("    path: /{tem}/x", "toys.yaml:10: streams.0.path: {tem} names nothing, did you mean 'team'?"),
        ("    params: {q: '{nothing}'}", "streams.0.params.q: {nothing} names nothing; declare it in `variables`"),
        ("    body: {json: {a: ['{start}']}}", "toys.yaml:10: streams.0.body.json.a"),
        (f"{CURSOR}}}\n    path: /x/{{start}}", "toys.yaml:11: streams.0.path: the first read has no bound to put there"),
        (f"{CURSOR}, windows: {{step: 30d}}}}", "streams.0.cursor.start: spans of time need a first moment"),
        (f"{CURSOR}, start: 2020-01-01, windows: {{granularity: 1s}}}}", "streams.0.cursor.windows: windows have a `step`, a `ceiling`"),
        (f"{CURSOR}, start: 2020-01-01, windows: {{step: 1d, total: n}}}}", "windows.total: only a `ceiling` makes use of it"),
        (f"{CURSOR}, start: 2020-01-01, windows: {{step: 1d, granularity: 2d}}}}", "windows.granularity: is not less than the step"),
        (f"{CURSOR}, start: soon}}", "cursor.start: 'soon' is no duration"),
        (f"{CURSOR}, format: '%s'}}", "cursor.format: '%s' has %s, which means different things on different machines: write `epoch`"),
        (f"{CURSOR}, format: unix}}", "cursor.format: 'unix' is no format of times: write one of iso"),
        (f"{CURSOR}, type: number, format: epoch}}", "cursor.format: is for times, and this cursor is a number"),
        (f"{CURSOR}, start: 90d}}\n    deletes: {{detect: sweep}}", "streams.0.deletes.detect: a sweep needs reads of everything"),
        (f"{CURSOR}, type: number}}\n    deletes: {{detect: reread}}", "streams.0.deletes.detect: nothing is read again"),
        (f"{CURSOR}, lookback: 0s}}\n    deletes: {{detect: reread}}", "streams.0.deletes.detect: nothing is read again"),
        (
            f"{CURSOR}}}\n    partitions: {{a: {{values: [x]}}}}\n    deletes: {{detect: reread}}",
            "streams.0.key: `reread` needs a key that begins with",
        ),
        ("    cursor: {field: at}", "streams.0.cursor.since: no parameter asks the source for changes"),
        ("    cursor: {field: at, since: null, start: 90d, windows: {step: 1d}}", "cursor.windows: no span of time is asked for"),
        ("    later: {path: /x}", "streams.0.later: a stream without a cursor is asked in the same way each time"),
        ("    method: GET\n    body: {json: {}}", "toys.yaml:10: streams.0.method: a GET has no body"),
        ("    body: {json: {}, form: {}}", "streams.0.body.form: a body is one of"),
        ("    body: {json: {}, variables: {a: 1}}", "streams.0.body.variables: only a `graphql` query has variables"),
        ("    paging: {type: page, into: body, param: p}", "streams.0.paging.into: the request has no body"),
        ("    paging: {type: page, into: path}", "streams.0.paging.into: the path has no {page} for the token"),
        ("    path: /x/{page}\n    paging: {type: page}", "streams.0.path: {page} has no value unless"),
        ("    path: /x/{page}\n    paging: {type: next_token, into: path}", "paging.first: the path needs something in the token's place"),
        ("    paging: {type: page, short: true}", "paging.short: a page is short of the `size`"),
        ("    paging: {type: next_token, cut: '(?=a)'}", "paging.cut: '(?=a)' cannot be matched in linear time"),
        ("    fields: [a]", "streams.0.fields: no request asks for them"),
        ("    params: {f: '{fields}'}", "streams.0.fields: {fields} has no value"),
        ("    field_list: {path: /f}\n    params: {f: '{fields}'}", "field_list.names: the answer of `path` has names somewhere"),
        (
            "    field_list: {path: /f, names: '@', chunk: 9}\n    params: {f: '{fields}'}\n    paging: {type: link_header}",
            "field_list.chunk: the address of a next page asks for the same fields again",
        ),
        ("    response: cvs", "streams.0.response.type: Input should be one of 'csv', 'json', 'jsonl', 'xml', did you mean 'csv'?"),
        ("    map_key: id\n    columns: head", "streams.0.columns: the records are values of a map or rows of values"),
        ("    job: {create: {}, poll: {}, done: [ok], failed: [OK]}", "streams.0.job.failed: 'ok' stands for two things"),
        ("    job: {create: {}, poll: {}, done: []}", "streams.0.job.done"),
        ("    parms: {a: b}", "streams.0.parms: Extra inputs are not permitted, did you mean 'params'?"),
    ],
)
def test_a_mistake_of_a_stream(tmp_path, monkeypatch, stream, told):
    found = check(tmp_path, monkeypatch, stream, "variables: {team: {}}")
    assert told in found
    assert found.count("\n") == 0


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("host: https://{tem}.example.com", "toys.yaml:4: host: {tem} names nothing; declare it in `variables`"),
        ("headers: {X-Team: '{team}'}", "headers.X-Team: {team} names nothing"),
        ("hosts: ['*.com']", "hosts.0: '*.com' is the whole internet below one word"),
        ("hosts: ['https://x.example']", "hosts.0: 'https://x.example' is no host"),
        ("variables: {start: {}}", "variables.start: {start} means something else already"),
        ("variables: {n: {type: integer, default: many}}", "variables.n.default: is no integer"),
        ("variables: {n: {default: a, choices: [b]}}", "variables.n.default: is none of b"),
        ("variables: {n: {type: text, format: date}}", "variables.n.format: only a `date` and a `time` have one"),
        ("variables: {n: {type: txt}}", "variables.n.type: Input should be 'text', 'integer'"),
    ],
)
def test_a_mistake_of_a_source(tmp_path, monkeypatch, source, told):
    assert told in check(tmp_path, monkeypatch, "    path: /x", source)


def test_the_query_of_graphql_has_braces_of_its_own(tmp_path, monkeypatch):
    stream = (
        "    body: {graphql: 'query {things {id}}', variables: {since: '{team}'}}\n    paging: {type: graphql, connection: data.things}"
    )
    assert check(tmp_path, monkeypatch, stream, "variables: {team: {}}") == ""
