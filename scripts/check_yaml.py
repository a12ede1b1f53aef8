"""Fails, naming file and line, for a YAML file that cannot be read or that says a key twice."""

from __future__ import annotations

import sys
from pathlib import Path

import yaml


class UniqueKeys(yaml.SafeLoader):
    """YAML lets a second key win silently; here it is an error."""


def unique_mapping(loader: UniqueKeys, node: yaml.MappingNode) -> dict[object, object]:
    """A mapping whose keys are all different."""
    seen: set[object] = set()
    for key_node, _ in node.value:  # before `<<` is filled in: what it brings may be overridden
        if key_node.tag == "tag:yaml.org,2002:merge":
            continue
        key = loader.construct_object(key_node)  # type: ignore[no-untyped-call]
        if key in seen:
            raise yaml.constructor.ConstructorError(None, None, f"key {key!r} is there twice", key_node.start_mark)
        seen.add(key)
    loader.flatten_mapping(node)
    return loader.construct_mapping(node)


UniqueKeys.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, unique_mapping)


def main(names: list[str]) -> int:
    """1 if any file fails."""
    failed = 0
    for name in names:
        try:
            for _ in yaml.load_all(Path(name).read_text(), Loader=UniqueKeys):
                pass
        except yaml.YAMLError as error:
            print(f"{name}: {error}", file=sys.stderr)
            failed = 1
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
