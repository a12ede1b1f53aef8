"""Settings are read in one place, each of them does something, and so does every word that a declaration may have."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import pytest
import yaml

from spine.core.declarations import Strict
from spine.core.entities import Matching
from spine.core.errors import ConfigError, SpineError
from spine.core.settings import PROJECT, AnalystLimits, Retention, Settings, settings
from spine.http.transport import Request
from spine.sources.spec import load_source

PACKAGE = PROJECT / "include" / "spine"
TESTS_ONLY = {"SPINE_DATA", "SPINE_SERVERS", "SPINE_DUCKDB_DELTA", "SPINE_HOSTILE_SECONDS", "SPINE_FUZZ_SECONDS", "SPINE_FUZZ_FILE"}
STREAM = """
  - name: {name}
    path: /{name}
    key: [id]
    paging: {paging}
    entity: person
    mapping: {{fields: {{email: email}}}}"""
SHOP = "source: shop\nlabel: Shop\ndomain: revops\nstreams:" + "".join(
    STREAM.format(name=name, paging=paging)
    for name, paging in {
        "a": "{type: page, size_param: limit}",
        "b": "{type: page, size: 40, size_param: limit}",
        "c": "{type: none}",
    }.items()
)


def reads_of_own_variables(path: Path) -> list[str]:
    """Expressions in which a file reads a variable of this project from `os.environ`; writing and handing on are no reading."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        text = ast.unparse(node) if isinstance(node, ast.Call | ast.Subscript | ast.Compare) else ""
        written = isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store)
        if "os.environ" in text and "'SPINE_" in text and not written and "environ.update" not in text:
            found.append(text)
    return found


def test_only_the_settings_read_the_projects_variables() -> None:
    readers = {str(path.relative_to(PACKAGE)) for path in PACKAGE.rglob("*.py") if reads_of_own_variables(path)}
    assert readers == {"core/settings.py"}


CODE = [path for folder in ("include", "dags", "plugins", "spark_jobs", "scripts") for path in (PROJECT / folder).rglob("*.py")]
TREES = [ast.parse(path.read_text(encoding="utf-8")) for path in CODE]


def loaded(tree: ast.AST) -> set[str]:
    """Names of attributes that a file reads from anything."""
    return {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load)}


def asked_of_settings(tree: ast.AST) -> set[str]:
    """Names that a file reads from `settings()`."""
    return {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Call) and ast.unparse(node.value.func) == "settings"
    }


def declarations(base: type[Strict] = Strict) -> Iterator[type[Strict]]:
    """Every class of a declaration, once the modules that have them are loaded."""
    for found in base.__subclasses__():
        yield found
        yield from declarations(found)


def texts(tree: ast.AST) -> set[str]:
    """Texts in a file that something is done with: none that only documents, none of a comment."""
    docs = {node.value.value for node in ast.walk(tree) if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)}
    return {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)} - docs


def test_every_setting_does_something() -> None:
    read = set().union(*(asked_of_settings(tree) for tree in TREES))
    assert {field.name for field in fields(Settings)} <= read | {"listed_networks"}, "which `private_networks` is made of"
    assert "private_networks" in read
    kept = {field.name for field in fields(Retention)}
    assert kept <= loaded(ast.parse((PACKAGE / "pipeline" / "maintain.py").read_text(encoding="utf-8")))


def test_settings_are_made_once_for_an_environment(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """DAGs ask for them hundreds of times while they are parsed."""
    first = settings()
    assert settings() is first
    monkeypatch.setenv("SPINE_RETENTION", "bronze=60")
    assert (settings().retention.bronze, settings() is first) == (60, False)
    monkeypatch.setenv("SPINE_HOME", "here")
    for folder in (tmp_path / "a", tmp_path / "b"):
        folder.mkdir()
        monkeypatch.chdir(folder)
        assert settings().home == folder / "here"
    monkeypatch.setenv("SPINE_RETENTION", "bronze=no")
    for _ in range(2):
        with pytest.raises(ConfigError, match="SPINE_RETENTION"):
            settings()


def test_every_field_of_a_declaration_is_read() -> None:
    from spine.core import entities, mapping
    from spine.sources import spec

    read = set().union(*map(loaded, TREES))
    known = set(declarations())
    assert {entities.Entity, mapping.Mapping, spec.Source} <= known
    mine = [kind for kind in known if kind.__module__.startswith("spine.")]
    assert [f"{kind.__name__}.{name}" for kind in mine for name in kind.model_fields if name not in read] == []


def test_every_variable_that_is_documented_is_read() -> None:
    """Of the environment and of Airflow; a name that a document or the compose file promises is a text in the code."""
    said = "\n".join(path.read_text(encoding="utf-8") for path in [PROJECT / "README.md", *(PROJECT / "docs").glob("*.md")])
    known = set().union(*map(texts, TREES))
    airflow = set(re.findall(r"Variable[s]? `(spine\.[a-z_]+)", said)) | {"spine.tenants", "spine.tenant_users"}
    assert {name for name in airflow if not any(text.startswith(name) for text in known)} == set()
    compose = yaml.safe_load((PROJECT / "docker-compose.yaml").read_text(encoding="utf-8"))
    promised = {name for service in compose["services"].values() for name in service.get("environment") or {}}
    ours = {name for name in promised | set(re.findall(r"`((?:SPINE|SYNC|IDENTITY|CONNECTOR)_[A-Z_]+)", said)) if _ours(name)}
    assert {"SPINE_LAKE", "SYNC_BATCH_SIZE", "IDENTITY_MATCH_THRESHOLD", "CONNECTOR_POOL_SIZE", "SPINE_RETENTION"} <= ours
    readers = [PACKAGE / "core" / "settings.py", *(PROJECT / "scripts").glob("*.py")]
    assert ours - set().union(*(texts(ast.parse(path.read_text(encoding="utf-8"))) for path in readers)) == set()


def _ours(name: str) -> bool:
    """A setting of the deployment: no code of an error, and none of those that choose what the tests do."""
    codes = {kind.code for kind in every_error(SpineError)}
    return name.startswith(("SPINE_", "SYNC_", "IDENTITY_", "CONNECTOR_")) and name not in codes | TESTS_ONLY


def every_error(kind: type[SpineError]) -> Iterator[type[SpineError]]:
    yield kind
    for child in kind.__subclasses__():
        yield from every_error(child)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SYNC_BATCH_SIZE", "many"), ("SYNC_BATCH_SIZE", "0"), ("SYNC_BATCH_SIZE", "5001"), ("IDENTITY_MATCH_THRESHOLD", "0.3"),
        ("IDENTITY_MATCH_THRESHOLD", "nan"), ("CONNECTOR_POOL_SIZE", "-1"), ("SPINE_FLUSH_SECONDS", "soon"), ("SPINE_RETENTION", "bronze"),
        ("SPINE_RETENTION", "gold=1"), ("SPINE_RETENTION", "files=3"), ("SPINE_RETENTION", "silver=0"),
        ("SPINE_ANALYST_LIMITS", "connections=-1"), ("SPINE_ANALYST_LIMITS", "minutes=0"), ("SPINE_ANALYST_LIMITS", "memory=1"),
        ("SPINE_ANALYST_LIMITS", "connections=²"), ("SPINE_ANALYST_LIMITS", "connections=99999"),
    ],
)  # fmt: skip
def test_a_value_that_makes_no_sense_is_refused_by_name(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match=name):
        settings()


def test_an_empty_value_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SYNC_BATCH_SIZE", "IDENTITY_MATCH_THRESHOLD", "SPINE_RETENTION"):
        monkeypatch.setenv(name, "")
    assert (settings().batch_size, settings().match_threshold, settings().retention) == (1000, 0.85, Retention())


def test_the_retention_names_what_differs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPINE_RETENTION", "bronze=60, pages=30")
    assert settings().retention == Retention(bronze=60, pages=30)


def test_the_analysts_limits_name_what_differs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPINE_ANALYST_LIMITS", "connections=20, minutes=60")
    assert settings().analyst_limits == AnalystLimits(connections=20, minutes=60, idle=480, temp=10)


def test_the_batch_size_is_the_page_of_a_source_that_names_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SYNC_BATCH_SIZE", "250")
    (tmp_path / "shop.yaml").write_text(SHOP)
    plain, own, none = load_source("shop", tmp_path).streams
    first = plain.paging.request(Request("GET", "https://shop.test/a"), None)
    assert first.params["limit"] == "250"
    assert (own.paging.size, none.paging.size) == (40, 250)


def test_the_match_threshold_holds_for_entities_that_state_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IDENTITY_MATCH_THRESHOLD", "0.9")
    shop = {"attributes": {"email": "email"}}
    assert Matching.model_validate(shop).threshold == 0.9
    assert Matching.model_validate({**shop, "threshold": 0.7}).threshold == 0.7
    for path in (PROJECT / "include" / "entities").glob("*.yaml"):
        assert "threshold:" not in path.read_text(encoding="utf-8"), f"{path.name}: what it states, the setting would not change"
