"""Files of include/syncs: the shipped ones are sound, and what is wrong with one is told with line, field and the nearest right word."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from spine.core.errors import ConfigError
from spine.push.check import broken_pushes, sound_push
from spine.push.spec import push_names

GOOD: dict[str, Any] = {
    "name": "back", "label": "Back", "source": {"object": "gold_party_person"},
    "destination": {"connector": "warehouse", "kind": "postgresql", "object": "t", "mapping": {"email": "mail"}, "match_key": ["email"]},
}  # fmt: skip


@pytest.mark.parametrize("name", push_names())
def test_a_shipped_file_is_sound(name: str) -> None:
    push = sound_push(name)
    assert not push.enabled, "nothing is sent anywhere before somebody says so"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"destination": {"match_key": ["phone"]}}, "'phone' is not in `mapping`"),
        ({"destination": {"mapping": {"email": "mail", "phone": "mail"}}}, "another field goes to 'mail' too"),
        ({"destination": {"mapping": {"email": "mail", "emial": "x"}}}, "'emial' is no field of a golden person, did you mean 'email'?"),
        ({"destination": {"connector": "hubsopt", "kind": None}}, "there is no source 'hubsopt', did you mean 'hubspot'?"),
        ({"direction": "bidirectional"}, "`bidirectional` writes to the source's system as well"),
        ({"deletes": {"mode": "soft_delete"}}, "belongs to `mode: soft_delete`"),
        ({"schedule": "often"}, "is no schedule"),
        ({"source": {"object": "x", "records_of": {"source": "a", "stream": "b"}}}, "only a Gold table of the lake has linked records"),
        ({"destination": {"operation": "overwrite", "connector": "hubspot", "kind": "hubspot"}}, "a system that shows all that it holds"),
        (
            {"source": {"object": "contacts", "connector": "hubspot"}, "destination": {"operation": "overwrite"}},
            "of a stream nobody knows all",
        ),
        ({"name": "other"}, "the file is named 'back'"),
        ({"destination": {"mapping": {"email": {"to": "mail", "direction": "pull"}}}}, "only a `bidirectional` sync pulls a field"),
        ({"source": {"object": "contacts", "connector": "hubspt"}}, "did you mean 'hubspot'?"),
        ({"source": {"object": "contcts", "connector": "hubspot"}}, "has no stream 'contcts', did you mean 'contacts'?"),
    ],
)
def test_a_mistake_is_told_with_its_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any], told: str) -> None:
    monkeypatch.setenv("SPINE_SYNCS", str(tmp_path))
    said = {**GOOD, **{name: {**GOOD.get(name, {}), **value} if isinstance(value, dict) else value for name, value in change.items()}}
    (tmp_path / "back.yaml").write_text(yaml.safe_dump(said))
    with pytest.raises(ConfigError) as refused:
        sound_push("back")
    assert told in str(refused.value)
    assert "back.yaml:" in str(refused.value)
    assert len(broken_pushes()) == 1
