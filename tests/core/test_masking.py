"""A secret is found in each form that it may take."""

from __future__ import annotations

import base64
import json
import re
from urllib.parse import quote, quote_plus, urlencode

from hypothesis import given
from hypothesis import strategies as st

from spine.core.masking import HIDDEN, forms, hidden

SECRETS = st.text(st.characters(exclude_categories=["Cs"]), min_size=4, max_size=40)


@given(SECRETS)
def test_whatever_writes_it_nothing_of_it_is_left(secret):
    written = [
        secret, quote(secret), quote(secret, safe=""), quote_plus(secret),
        re.sub("%..", lambda found: found[0].lower(), quote(secret, safe="")), json.dumps(secret),
        json.dumps(secret, ensure_ascii=False), base64.b64encode(secret.encode()).decode(), urlencode({"key": secret}),
        quote(quote(secret, safe=""), safe=""),
    ]  # fmt: skip
    for text in written:
        assert HIDDEN in hidden(f"before {text} after", [secret])


def test_there_are_no_forms_of_nothing():
    assert forms("") == set()
    assert hidden("all as it was", ["", "other"]) == "all as it was"
