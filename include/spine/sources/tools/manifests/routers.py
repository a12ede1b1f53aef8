"""Partition routers as parents and lists."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from spine.sources.tools.drafts import Untold, word
from spine.sources.tools.manifests.components import Component
from spine.sources.tools.manifests.filling import Filling
from spine.sources.tools.manifests.templates import expression_of, path_of


@dataclass
class Routed:
    """What a stream is read by: its parent (a stream of the manifest, which may stand in no list of it), and its lists.

    `others` are further streams for each of whose records it is read as well: the partition's name, the stream, the field of its values.
    `places` are the options by which values go into requests, with the placeholder.
    """

    parent: Component | None = None
    parent_words: dict[str, Any] = field(default_factory=dict)
    partitions: dict[str, dict[str, Any]] = field(default_factory=dict)
    places: list[tuple[Component, str]] = field(default_factory=list)
    others: list[tuple[str, Component, str]] = field(default_factory=list)


def routed_by(retriever: Component, filling: Filling) -> Routed:
    """The partitions of a retriever, whose names `filling` then knows. Raises Untold."""
    made = Routed()
    for router in retriever.all("partition_router") or retriever.all("stream_slicer"):
        _route(router, filling, made, 1)
    return made


def _route(router: Component, filling: Filling, made: Routed, group: int) -> None:
    kind = router.type
    if router.custom:
        raise Untold("custom code: partition router", f"what it is read by is code: {kind}", router.line)
    if kind == "CartesianProductStreamSlicer":
        for inner in router.all("stream_slicers"):
            _route(inner, filling, made, group)
    elif kind == "GroupingPartitionRouter":
        below = router.get("underlying_partition_router")
        if below is not None:
            _route(below, filling, made, int(router.value("group_size") or 1))
    elif kind in ("ListPartitionRouter", "ListStreamSlicer") or "values" in router:
        _list(router, filling, made, group)
    elif kind in ("SubstreamPartitionRouter", "SubstreamSlicer") or "parent_stream_configs" in router:
        _substream(router, filling, made, group)
    elif kind in ("DatetimeStreamSlicer", "DatetimeBasedCursor"):
        raise Untold("a cursor among the partitions", "its cursor stands among its partitions", router.line)
    elif kind or router:
        raise Untold(f"partition router {kind}", f"we have no {kind}", router.line)


def _list(router: Component, filling: Filling, made: Routed, group: int) -> None:
    name = filling.text(router.text("cursor_field"), router.parameters)
    ours = word(name, set(made.partitions))
    values = router.value("values")
    entry: dict[str, Any] = {}
    if isinstance(values, list):
        entry["values"] = [filling.text(value, router.parameters) if isinstance(value, str) else value for value in values]
    else:
        node = expression_of(values, router.parameters)
        path = path_of(node) if node is not None else None
        if path is None or path.root != "config":
            raise Untold("template: a list of partitions", f"its partitions are computed: {str(values)[:60]!r}", router.line)
        entry["variable"] = filling.settings.variable(path.steps, path.default, type="list")
    if group > 1:
        entry["group"] = group
    made.partitions[ours] = entry
    filling.slices[name] = f"{{partition.{ours}}}"
    option = router.get("request_option")
    if option is not None:
        made.places.append((option, filling.slices[name]))


def _substream(router: Component, filling: Filling, made: Routed, group: int) -> None:
    configs = router.all("parent_stream_configs")
    if len(configs) != 1:
        raise Untold("several parents" if configs else "a parent that is none", f"it has {len(configs)} parents", router.line)
    config = configs[0]
    stream = config.get("stream")
    if stream is None:
        raise Untold("a parent that is none", "", config.line)
    key = filling.text(config.text("parent_key"), config.parameters)
    name = filling.text(config.text("partition_field") or config.text("stream_slice_field") or key, config.parameters)
    if made.parent is not None:
        _beside(config, stream, key, name, filling, made)
        return
    made.parent = stream
    if config.value("incremental_dependency"):
        made.parent_words["changed"] = True
    if group > 1:
        made.parent_words["group"] = group
    filling.slices[name] = f"{{parent.{key}}}"
    filling.extra_fields = "parent"
    option = config.get("request_option")
    if option is not None:
        made.places.append((option, filling.slices[name]))


def _beside(config: Component, stream: Component, key: str, name: str, filling: Filling, made: Routed) -> None:
    """A second parent: its records' values are a partition, so that each pair is read."""
    ours = word(name, set(made.partitions) | {one for one, _, _ in made.others})
    made.others.append((ours, stream, key))
    filling.slices[name] = f"{{partition.{ours}}}"
    option = config.get("request_option")
    if option is not None:
        made.places.append((option, filling.slices[name]))
