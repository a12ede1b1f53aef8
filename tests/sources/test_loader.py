"""The reader of a source is found by its kind."""

from __future__ import annotations

import pytest

from spine.core.errors import ConfigError
from spine.http.client import Client
from spine.http.transport import Transport
from spine.sources import files, rest
from spine.sources.custom import hubspot, salesforce
from spine.sources.loader import reader_for
from spine.sources.spec import load_source

CLIENT = Client("https://example.com", Transport())


def test_each_kind_has_its_reader():
    assert isinstance(reader_for(load_source("salesforce"), client=CLIENT), salesforce.Reader)
    assert isinstance(reader_for(load_source("hubspot"), client=CLIENT), hubspot.Reader)
    assert isinstance(reader_for(load_source("people_files"), folder=files.Folder("/x", {})), files.Reader)
    assert isinstance(reader_for(load_source("salesforce").model_copy(update={"kind": "generic"}), client=CLIENT), rest.Reader)


def test_a_source_may_borrow_the_reader_of_another():
    borrowed = load_source("salesforce").model_copy(update={"source": "salesforce_eu", "reader": "salesforce"})
    assert isinstance(reader_for(borrowed, client=CLIENT), salesforce.Reader)


def test_what_is_missing_is_said():
    with pytest.raises(ConfigError, match=r"spine\.sources\.custom\.nothing"):
        reader_for(load_source("salesforce").model_copy(update={"reader": "nothing"}), client=CLIENT)
    with pytest.raises(ConfigError, match="client"):
        reader_for(load_source("salesforce"))
    with pytest.raises(ConfigError, match="folder"):
        reader_for(load_source("people_files"))
