"""Labels, and whether probabilities mean what they say: against worlds whose truth is made with known chances."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spine.core.errors import ConfigError
from spine.matching.calibration import Labels, calibration, of_labels, read_labels

IDS = pa.array(["a", "b", "c", "d"])


def file(tmp_path: Path, content: str) -> Path:
    path = tmp_path / "truth.csv"
    path.write_text(content)
    return path


class TestLabels:
    """What a file of labels may look like."""

    @pytest.mark.parametrize("column", ["entity", "cluster", "cluster_id", "label"])
    def test_an_entity_per_record(self, tmp_path: Path, column: str) -> None:
        found = read_labels(file(tmp_path, f"record_id,{column}\nd,x\nb,y\na,x\nz,x\n"), IDS, apart=False)
        assert found.entity is not None
        assert found.entity.tolist() == [0, 1, -1, 0]

    @pytest.mark.parametrize(("yes", "no"), [("1", "0"), ("true", "False"), ("yes", "no"), ("match", "distinct")])
    def test_judged_pairs(self, tmp_path: Path, yes: str, no: str) -> None:
        found = read_labels(file(tmp_path, f"left_id,right_id,same\nb,a,{yes}\nc,d,{no}\na,z,{yes}\nc,c,{yes}\n"), IDS, apart=False)
        assert (found.left.tolist(), found.right.tolist(), found.same.tolist()) == ([0, 2], [1, 3], [True, False])

    def test_pairs_without_an_answer_are_matches(self, tmp_path: Path) -> None:
        assert read_labels(file(tmp_path, "left_id,right_id\na,b\n"), IDS, apart=False).same.tolist() == [True]

    def test_ids_of_sources(self, tmp_path: Path) -> None:
        ids = pa.array(["crm:1", "erp:1"])
        entities = read_labels(file(tmp_path, "source,record_id,entity\ncrm,1,x\nerp,1,x\n"), ids, apart=True)
        assert entities.entity is not None
        assert entities.entity.tolist() == [0, 0]
        pairs = read_labels(file(tmp_path, "left_source,left_id,right_source,right_id,same\nerp,1,crm,1,1\n"), ids, apart=True)
        assert (pairs.left.tolist(), pairs.right.tolist()) == ([0], [1])

    @pytest.mark.parametrize(
        ("content", "part"),
        [
            ("id,entity\na,x\n", r"truth.csv has no labels \(it has id, entity\)"),
            ("record_id,entity\nz,x\n", "no record of truth.csv is among those matched"),
            ("left_id,right_id,same\ny,z,1\n", "no record of truth.csv is among those matched"),
            ("left_id,right_id,same\na,b,perhaps\n", "an answer that is neither yes nor no"),
            ("record_id,entity\n", "no record of truth.csv is among those matched"),
        ],
    )
    def test_mistakes(self, tmp_path: Path, content: str, part: str) -> None:
        with pytest.raises(ConfigError, match=part):
            read_labels(file(tmp_path, content), IDS, apart=False)


class TestCalibration:
    """Promises against the truth."""

    def test_honest_chances_are_calibrated_and_bold_ones_are_not(self) -> None:
        random = np.random.default_rng(5)
        chance = random.uniform(0.5, 1, 40_000)
        honest, bold = random.random(40_000) < chance, random.random(40_000) < chance - 0.2
        fine, wrong = (calibration("x", chance, right, None, None) for right in (honest, bold))
        assert fine.error is not None
        assert wrong.error is not None
        assert fine.error < 0.02 < 0.18 < wrong.error < 0.22
        assert all(one.least - 0.02 < one.promised < one.most + 0.02 for one in fine.bins)
        assert len(fine.bins) == 10
        assert sum(one.pairs for one in fine.bins) == sum(one.pairs for one in fine.bands) == 40_000

    @given(st.lists(st.tuples(st.floats(0.5, 1), st.booleans()), min_size=1, max_size=40))
    def test_every_pair_is_in_one_bin_and_its_share_between_its_bounds(self, pairs: list[tuple[float, bool]]) -> None:
        chance, right = (np.asarray(column) for column in zip(*pairs, strict=True))
        found = calibration("x", chance, right, None, None)
        for bins in (found.bins, found.bands):
            assert sum(one.pairs for one in bins) == len(pairs)
            assert all(0 <= one.least <= one.right + 1e-12 and one.right - 1e-12 <= one.most <= 1 for one in bins)
            assert all(one.low - 1e-12 <= one.promised <= one.high + 1e-12 for one in bins)

    def test_entities_give_precision_and_recall(self) -> None:
        none = np.zeros(0, dtype=np.int64)
        labels = Labels(np.asarray([7, 7, 7, 8, -1]), none, none, none)
        left, right = np.asarray([0, 2, 3]), np.asarray([1, 3, 4])
        found = of_labels("truth.csv", labels, left, right, np.asarray([0.9, 0.8, 0.99]), np.asarray([0, 0, 2, 2, 2]))
        assert found.judged == 2, "the fifth record has no label"
        assert (found.precision, found.recall) == (1 / 2, 1 / 3)

    def test_judged_pairs_give_precision_and_recall_of_these(self) -> None:
        labels = Labels(None, np.asarray([0, 2, 0]), np.asarray([1, 3, 3]), np.asarray([True, False, True]))
        left, right = np.asarray([0, 1, 2]), np.asarray([1, 2, 3])
        found = of_labels("truth.csv", labels, left, right, np.asarray([0.9, 0.9, 0.6]), np.asarray([0, 0, 2, 2]))
        assert found.judged == 2
        assert (found.precision, found.recall) == (1 / 2, 1 / 2)
        assert [(one.pairs, one.right) for one in found.bins] == [(1, 0.0), (1, 1.0)]

    def test_nothing_known_is_no_figure(self) -> None:
        found = calibration("x", np.zeros(0), np.zeros(0, dtype=bool), None, None)
        assert (found.judged, found.error, list(found.bins)) == (0, None, [])
