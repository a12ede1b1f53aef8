"""Makes the records of a world and writes them: what an engine reads, and apart from it the truth."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import polars as pl
import yaml

from . import organizations, people
from .shares import KINDS, World
from .slips import Slips
from .words import draw

Array: TypeAlias = Any  # numpy arrays of many element types


@dataclass(frozen=True)
class Made:
    """`table` has unique_id, source and the columns of the world; `truth` is the entity of each row."""

    table: pl.DataFrame
    truth: Array


def generate(world: World, records: int = 50_000, seed: int | None = None) -> Made:
    """So many records of a world, the same for the same file, number and seed (that of the file unless another is given)."""
    rng = np.random.default_rng([world.seed if seed is None else seed, 11])
    who = _entities(rng, world, records)
    source = _sources(rng, world, who)
    names = sorted(world.channels)
    channel = np.array([names.index(some.channel) for some in world.sources])[source]
    slips = Slips(rng, [world.channels[name] for name in names], channel)
    columns = slips.damage((people if world.people else organizations).records(world, slips, who))
    absent = {name: rng.random(records) < world.missing.get(name, 0.0) for name in columns}
    for number, some in enumerate(world.sources):
        for name in some.without:
            absent[name] |= source == number
    none = pl.repeat(None, records, dtype=pl.String, eager=True)
    columns = {name: none.zip_with(pl.Series(absent[name]), values) for name, values in columns.items()}
    order = rng.permutation(records)
    ids = pl.Series([f"r{number}" for number in range(records)])
    of = pl.Series([f"s{number + 1}" for number in range(len(world.sources))]).gather(source[order])
    table = pl.DataFrame({"unique_id": ids, "source": of} | {name: values.gather(order) for name, values in columns.items()})
    return Made(table, who[order])


def _entities(rng: np.random.Generator, world: World, records: int) -> Array:
    """The entity of each record, numbers from 0 on."""
    mean = sum(size * share for size, share in world.sizes.items())
    sizes = np.zeros(0, dtype=np.int64)
    while sizes.sum() < records:
        more = np.array(list(world.sizes))[draw(rng, world.sizes, int(records / mean) + 10)]
        if world.large:
            large = rng.random(len(more)) < world.large.share
            most, least = np.log(world.large.most + 1), np.log(world.large.least)
            more[large] = np.floor(np.exp(rng.uniform(least, most, int(large.sum())))).astype(np.int64)
        sizes = np.concatenate([sizes, more])
    return np.repeat(np.arange(len(sizes)), sizes)[:records]


def _sources(rng: np.random.Generator, world: World, who: Array) -> Array:
    """The source of each record: an entity's records go to different ones, by their shares, as long as there are any.

    By the share of duplicates, and beyond the last source, a record comes from where the entity's first one or another came from.
    """
    weights = np.array([some.share for some in world.sources])
    count, first = len(weights), np.searchsorted(who, who)
    place = np.arange(len(who)) - first
    # Sources in an order of their own for each entity, drawn without replacement by weight (Efraimidis and Spirakis 2006).
    order = np.argsort(rng.exponential(size=(int(who[-1]) + 1, count)) / weights, axis=1)
    found = order[who, np.where(place < count, place, rng.integers(0, count, len(who)))]
    return np.where((rng.random(len(who)) < world.duplicates) & (place > 0), found[first], found)


def write(made: Made, world: World, folder: Path, suffix: str = "csv") -> None:
    """`records.csv` or `.parquet`, `truth.csv` (unique_id, entity) and `rules.yaml` for `spine match` in a folder, which is made."""
    folder.mkdir(parents=True, exist_ok=True)
    truth = pl.DataFrame({"unique_id": made.table["unique_id"], "entity": made.truth})
    if suffix == "parquet":
        made.table.write_parquet(folder / "records.parquet")
    else:
        made.table.write_csv(folder / "records.csv")
    truth.write_csv(folder / "truth.csv")
    (folder / "rules.yaml").write_text(rules(world), encoding="utf-8")


def rules(world: World) -> str:
    """The smallest rules file: the kind of each column, nothing else."""
    kinds = {name: KINDS[name] for name in world.columns}
    stated = {"entity": world.entity, "record_id": "unique_id", "source": "source", "link": "within_and_across", "attributes": kinds}
    return yaml.safe_dump(stated, sort_keys=False)


def ceiling(made: Made) -> dict[str, float]:
    """What no engine can do better: records with equal values are together or apart, whoever they are of.

    `alike_strangers` counts the pairs of different entities with all values equal, `alike_same` those of one entity. `f1` is the best F1 if
    everything else is found and each group of equal records is joined or parted, whichever serves best: an upper bound, hardly reached.
    """
    values = made.table.drop("unique_id", "source").with_columns(pl.all().fill_null("").str.to_lowercase())
    frame = values.select(pl.struct(pl.all()).hash().alias("row")).with_columns(entity=pl.Series(made.truth))
    both = frame.group_by("row", "entity").len().with_columns(same=pl.col("len") * (pl.col("len") - 1) // 2)
    groups = both.group_by("row").agg(pl.col("len").sum(), pl.col("same").sum()).filter(pl.col("len") > 1)
    same = groups["same"].to_numpy().astype(np.int64)
    apart = (groups["len"] * (groups["len"] - 1) // 2).to_numpy().astype(np.int64) - same
    true = int((lambda sizes: sizes * (sizes - 1) // 2)(np.bincount(made.truth)).sum())
    # Join the groups with the best shares of true pairs first; every prefix is a choice.
    order = np.argsort(-same / np.maximum(1, same + apart), kind="stable")
    right = true - same.sum() + np.concatenate([[0], np.cumsum(same[order])])
    joined = right + np.concatenate([[0], np.cumsum(apart[order])])
    f1 = float((2 * right / np.maximum(1, joined + true)).max())
    return {"alike_strangers": int(apart.sum()), "alike_same": int(same.sum()), "f1": f1 if true else 1.0}
