"""Breaks a pure module in one small way at a time and tells which breaks its tests do not notice.

    python scripts/mutate.py include/spine/core/names.py [more modules] [--sample 25] [--seed 7] [--tests tests/core ...]

Works in a copy of the tree. For each mutant the module's own tests run (`tests/core/test_names.py`, otherwise its folder of tests), in a
process that is forked from this one, which has imported what is dear. A mutant that survives is a line whose meaning no test holds, or a
change without effect. Slow, hence no part of `make test`.
"""

from __future__ import annotations

import argparse
import ast
import multiprocessing
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
CODE = Path("include/spine")
_COMPARED: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip
_COUNTED: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult, ast.Mod: ast.Mult,
    ast.LShift: ast.RShift, ast.RShift: ast.LShift,
}  # fmt: skip
# Imported once for all mutants; none of them starts a thread, which a forked process would miss.
_DEAR = (
    "pytest", "numpy", "pyarrow", "pydantic", "scipy.sparse", "rapidfuzz.process", "jmespath", "yaml", "orjson", "requests", "networkx",
    "jellyfish", "phonenumbers", "nameparser", "hypothesis.strategies",
)  # fmt: skip
# What no test should notice: types are not looked at when the code runs, and decorators say how often or how frozen.
_UNSEEN = {"annotation", "returns", "decorator_list"}


@dataclass(frozen=True)
class Mutant:
    """One change: in `parent`, the child under `name` (at `place` of a list) becomes `new`."""

    parent: ast.AST
    name: str
    place: int | None
    new: ast.AST
    line: int
    what: str

    def source(self, tree: ast.Module) -> str:
        """The module's text with this change; the tree is as before afterwards."""
        old = self._child()
        self._put(self.new)
        try:
            return ast.unparse(tree)
        finally:
            self._put(old)

    def _child(self) -> ast.AST:
        held = getattr(self.parent, self.name)
        child: ast.AST = held if self.place is None else held[self.place]
        return child

    def _put(self, node: ast.AST) -> None:
        if self.place is None:
            setattr(self.parent, self.name, node)
        else:
            getattr(self.parent, self.name)[self.place] = node


def children(node: ast.AST) -> Iterator[tuple[str, int | None, ast.AST]]:
    """Child nodes with where they hang, without types, decorators and what only type checkers see."""
    if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
        return
    for name, held in ast.iter_fields(node):
        if name in _UNSEEN:
            continue
        for place, child in enumerate(held) if isinstance(held, list) else [(None, held)]:
            if isinstance(child, ast.AST):
                yield name, place, child


def mutants(node: ast.AST) -> Iterator[Mutant]:
    """Every change of the module, in the order of its text."""
    for name, place, child in children(node):
        if isinstance(child, ast.Expr) and isinstance(child.value, ast.Constant):
            continue  # a docstring
        for new in replacements(child):
            what = f"{_shown(child)} -> {_shown(new)}"
            yield Mutant(node, name, place, new, child.lineno, what)  # type: ignore[attr-defined]
        yield from mutants(child)


def replacements(node: ast.AST) -> Iterator[ast.AST]:
    """What may stand in the place of a node."""
    match node:
        case ast.Compare():
            for place, op in enumerate(node.ops):
                if swapped := _COMPARED.get(type(op)):
                    ops = [*node.ops[:place], swapped(), *node.ops[place + 1 :]]
                    yield ast.Compare(node.left, ops, node.comparators)
        case ast.BinOp() if type(node.op) in _COUNTED:
            yield ast.BinOp(node.left, _COUNTED[type(node.op)](), node.right)
        case ast.BoolOp():
            yield ast.BoolOp(ast.Or() if isinstance(node.op, ast.And) else ast.And(), node.values)
        case ast.UnaryOp(op=ast.Not()):
            yield node.operand
        case ast.IfExp():
            yield ast.IfExp(node.test, node.orelse, node.body)
        case ast.Constant():
            yield from _constants(node.value)
        case ast.stmt():
            yield from _statements(node)


def _constants(value: object) -> Iterator[ast.AST]:
    if isinstance(value, bool):
        yield ast.Constant(not value)
    elif isinstance(value, int | float):
        yield ast.Constant(value + 1)
        yield ast.Constant(value - 1)


def _statements(node: ast.stmt) -> Iterator[ast.AST]:
    match node:
        case ast.Return(value=ast.expr()) if not (isinstance(node.value, ast.Constant) and node.value.value is None):
            yield ast.Return(ast.Constant(None))
        case ast.Expr(value=ast.Call()) | ast.Raise() | ast.Continue() | ast.Break():
            yield ast.Pass()


def _shown(node: ast.AST) -> str:
    text = ast.unparse(node).splitlines()[0]
    return text if len(text) <= 70 else f"{text[:67]}..."


def tests_of(module: Path) -> list[str]:
    """The test file that mirrors the module, or the nearest folder of tests."""
    inside = module.relative_to(CODE)
    mirrored = Path("tests") / inside.with_name(f"test_{inside.name}")
    if (PROJECT / mirrored).is_file():
        return [str(mirrored)]
    folder = next(parent for parent in mirrored.parents if (PROJECT / parent).is_dir())
    return [str(folder)]


def copy_tree(into: Path) -> None:
    """All files that git knows or would take, and the environment as a link."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"], cwd=PROJECT, capture_output=True, text=True, check=True
    )
    for name in filter(None, listed.stdout.split("\0")):
        if (PROJECT / name).is_file():
            (into / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(PROJECT / name, into / name)
    for name in (".venv", ".spine"):
        if (PROJECT / name).exists() and not (into / name).exists():
            (into / name).symlink_to((PROJECT / name).resolve(), target_is_directory=True)


@dataclass(frozen=True)
class Trial:
    """The copy in which one module is broken, and the tests that should notice; `options` are pytest's."""

    tree: Path
    module: Path
    tests: list[str]
    options: tuple[str, ...] = ()

    def passes(self, source: str, limit: float | None = None) -> bool:
        """Whether the tests pass with this text of the module; not if they take longer than `limit` seconds."""
        path = self.tree / self.module
        path.write_text(source, encoding="utf-8")
        for compiled in (path.parent / "__pycache__").glob(f"{path.stem}.*.pyc"):
            compiled.unlink()  # it is known by second and size, which two mutants may share
        process = multiprocessing.get_context("fork").Process(target=self._run)
        process.start()
        process.join(limit)
        if process.is_alive():
            process.kill()
            process.join()
        return process.exitcode == 0

    def _run(self) -> None:
        """The tests, in a process that sees the copy alone."""
        import pytest

        quiet = os.open(os.devnull, os.O_WRONLY)
        os.dup2(quiet, 1)
        os.dup2(quiet, 2)
        os.chdir(self.tree)
        code = str(self.tree / "include")
        sys.path.insert(0, code)
        os.environ["PYTHONPATH"] = code
        # Without an end of the interpreter: what tests leave behind, such as a thread that waits, is none of the verdict.
        os._exit(pytest.main(["-x", "-q", "-p", "no:cacheprovider", *self.options, *self.tests]))


def try_module(trial: Trial, sample: int, seed: int) -> tuple[int, int]:
    """Print what became of each mutant of a module; how many were noticed, of how many."""
    text = (PROJECT / trial.module).read_text(encoding="utf-8")
    tree = ast.parse(text)
    # Without the fixtures of all tests, whose imports take seconds, if these tests can do without.
    first = Path(trial.tests[0])
    light = replace(trial, options=("--confcutdir", str(first.parent if first.suffix else first)))
    started = time.monotonic()
    trial = light if light.passes(ast.unparse(tree)) else trial
    if trial is not light and not trial.passes(ast.unparse(tree)):
        raise SystemExit(f"{trial.module}: {' '.join(trial.tests)} fail already without a change")
    limit = 10 + 5 * (time.monotonic() - started)
    every = list(mutants(tree))
    chosen = sorted(random.Random(seed).sample(range(len(every)), min(sample or len(every), len(every))))
    killed = 0
    for number in chosen:
        mutant = every[number]
        noticed = not trial.passes(mutant.source(tree), limit)
        killed += noticed
        print(f"{'killed  ' if noticed else 'SURVIVED'} {trial.module}:{mutant.line}: {mutant.what}", flush=True)
    (trial.tree / trial.module).write_text(text, encoding="utf-8")
    print(f"{trial.module}: {killed} of {len(chosen)} killed, {len(every)} possible, by {' '.join(trial.tests)}", flush=True)
    return killed, len(chosen)


def main() -> int:
    """Try every module that is named."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("modules", nargs="+", type=Path, help="files under include/spine")
    parser.add_argument("--sample", type=int, default=0, help="so many mutants of each module, chosen by --seed; 0: all")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--tests", nargs="+", help="test files or folders instead of the mirrored ones")
    given = parser.parse_args()
    os.environ |= {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    for name in _DEAR:
        with suppress(ImportError):
            import_module(name)
    found = []
    with tempfile.TemporaryDirectory(prefix="spine-mutate-") as folder:
        copy_tree(Path(folder))
        for module in given.modules:
            path = module.resolve().relative_to(PROJECT)
            found.append(try_module(Trial(Path(folder), path, given.tests or tests_of(path)), given.sample, given.seed))
    killed, tried = (sum(column) for column in zip(*found, strict=True))
    print(f"score: {killed} of {tried} mutants killed ({100 * killed / max(1, tried):.0f} %)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
