"""Kinds and registered words as a file says them: older files stay good, and a mistake is told with its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from spine.core.errors import ConfigError
from spine.http.auth.bearer import BearerAuth
from spine.http.auth.none import NoAuth
from spine.http.paging.next_token import NextToken
from spine.sources.spec import Source, load_source

TEXT = """\
source: shop
label: Shop
domain: revops
kind: hybrid
auth: {auth}
streams:
  - name: orders
    key: [id]
    paging: {paging}
    entity: person
    mapping:
      fields:
        email: {{from: email, transform: {transform}}}
"""


def load(folder: Path, auth: str = "{}", paging: str = "{}", transform: str = "email") -> Source:
    (folder / "shop.yaml").write_text(TEXT.format(auth=auth, paging=paging, transform=transform), encoding="utf-8")
    return load_source("shop", folder)


def test_a_file_of_before_is_still_good(tmp_path: Path) -> None:
    source = load(tmp_path, "{type: bearer}", "{type: cursor, next: paging.next.after, param: after, size: 100, size_param: limit}")
    assert source.auth == BearerAuth()
    assert source.streams[0].paging == NextToken(type="cursor", next="paging.next.after", param="after", size=100, size_param="limit")


def test_without_a_type_nothing_is_signed_and_nothing_follows(tmp_path: Path) -> None:
    source = load(tmp_path, "{rotates: true}", "{size: 50}")
    assert source.auth == NoAuth()
    assert (source.streams[0].paging.type, source.streams[0].paging.size) == ("none", 50)


def test_a_word_of_another_kind_is_passed_over_as_ever(tmp_path: Path) -> None:
    assert load(tmp_path, "{type: bearer, header: X-Key}").auth == BearerAuth()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        pytest.param({"auth": "{type: magic}"}, r"shop.yaml:5: auth.type: Input should be .*'bearer'", id="kind of authentication"),
        pytest.param({"auth": "{type: bearer, colour: x}"}, "shop.yaml:5: auth.colour: Extra inputs are not permitted", id="word of it"),
        pytest.param({"auth": "bearer"}, "shop.yaml:5: auth: Input should be a valid dictionary", id="no words"),
        pytest.param({"paging": "{type: leaf}"}, r"shop.yaml:9: streams.0.paging.type: Input should be .*'offset'", id="kind of paging"),
        pytest.param({"paging": "{type: page, size: 0}"}, "shop.yaml:9: streams.0.paging.size: Input should be greater", id="size"),
        pytest.param(
            {"transform": "soap"}, r"shop.yaml:13: streams.0.mapping.fields.email.transform: Input should be 'none', 'trim', .* or '",
            id="transform",
        ),
    ],
)  # fmt: skip
def test_a_mistake_is_told_with_file_line_and_field(tmp_path: Path, words: dict[str, str], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        load(tmp_path, **words)
