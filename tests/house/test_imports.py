"""House rules that are about imports: their direction, their cost, and what they leave usable."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

import dolma_kit

ROOT = Path(dolma_kit.__file__).parent.parent
PACKAGES = ("dolma_kit", "taggers", "mixers")
HEAVY = {
    *("ray", "numba", "torch", "pyarrow", "tokenizers", "duckdb", "blingfire"),
    *("bs4", "detect_secrets", "regex", "tantivy", "datasketches"),
    *("starlette", "uvicorn", "matplotlib"),
}

# A module may import those of its own layer and of the layers before it.
LAYERS = [
    {"errors"},
    {"config", "energy", "files", "kernels", "plugins", "specs", "downloads", "jsonpath"},
    {
        "layout",
        "jsonl",
        "parquet",
        "parquet_shards",
        "decoding",
        "documents",
        "quarantine",
        "replacing",
        "fasttext_files",
        "fasttext_models",
        "urls",
        "markup",
        "url_lists",
        "dolma_url_lists",
        "filter_rules",
        "filter_lists",
    },
    {
        "attributes",
        "attribute_files",
        "ledger",
        "executions",
        "registry",
        "filtering",
        "dolma_filters",
        "inspection",
        "segments",
        "model_tagging",
        "url_tagging",
    },
    {"execute"},
    {"summary"},
    {"checking"},
    {
        "tagging",
        "mixing",
        "mixing_planner",
        "mixing_streams",
        "shares",
        "shuffling",
        "choosing",
        "judging",
        "functions",
        "decorators",
        "shards",
        "decisions",
        "explaining",
        "conversion",
        "deduplication",
        "decontamination",
        "tokens",
        "order",
        "classifying",
        "language_models",
        "extraction",
    },
    {"statistics", "searching"},
    {"recipe", "training"},
    {"viewing", "reporting"},
    {"demonstration", "cli"},
]


def modules() -> list[str]:
    return sorted(
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for package in PACKAGES
        for path in (ROOT / package).rglob("*.py")
    )


def layer_of(module: str) -> int | None:
    """The layer of `dolma_kit.<name>...`; None for the package itself."""
    parts = module.split(".")
    if len(parts) == 1 or parts[1] == "__main__":
        return None
    found = [i for i, names in enumerate(LAYERS) if parts[1] in names]
    assert found, (
        f"{module}: say in tests/house/test_imports.py which layer dolma_kit/{parts[1]} is in"
    )
    return found[0]


def imported_by(module: str) -> set[str]:
    """Modules of ours that a module imports anywhere, but not for type checking only."""
    path = ROOT.joinpath(*module.split("."))
    source = path.with_suffix(".py") if path.with_suffix(".py").exists() else path / "__init__.py"
    tree = ast.parse(source.read_text(encoding="utf-8"))
    typing_only: set[ast.AST] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            typing_only.update(ast.walk(node))
    found: set[str] = set()
    for node in ast.walk(tree):
        if node in typing_only:
            continue
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
    return {name for name in found if name.split(".")[0] in PACKAGES}


@pytest.mark.parametrize("module", modules())
def test_imports_point_one_way(module: str) -> None:
    for name in imported_by(module):
        package = name.split(".")[0]
        if module.startswith("dolma_kit"):
            assert package == "dolma_kit", f"{module} imports the part {name} by name"
            mine, theirs = layer_of(module), layer_of(name)
            if mine is not None and theirs is not None:
                assert theirs <= mine, f"{module} imports {name}, which is built on top of it"
        else:
            # Parts use public names only, of the core and of their own kind.
            assert package in ("dolma_kit", module.split(".")[0])
            assert not name.split(".")[-1].startswith("_"), f"{module} imports {name}"


def test_ray_is_imported_by_its_engine_alone() -> None:
    def imports_ray(path: Path) -> bool:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and not node.level:
                names = [node.module or ""]
            if any(name.split(".")[0] == "ray" for name in names):
                return True
        return False

    paths = [path for package in PACKAGES for path in (ROOT / package).rglob("*.py")]
    assert [p.relative_to(ROOT).as_posix() for p in paths if imports_ray(p)] == [
        "dolma_kit/execute/ray.py"
    ]


def test_no_runtime_code_imports_fasttext() -> None:
    """Two packages write its files, and the one that was installed last wins."""
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
                if isinstance(node, ast.ImportFrom) and not node.level:
                    names = [node.module or ""]
                assert not any(name.split(".")[0].startswith("fasttext") for name in names), path


def loaded_by(code: str) -> set[str]:
    """The top-level modules that a fresh interpreter has after running `code`."""
    script = (
        f"import sys\n{code}\nprint(','.join(sorted({{m.split('.')[0] for m in sys.modules}})))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT
    )
    return set(done.stdout.strip().split("\n")[-1].split(","))


@pytest.mark.parametrize(
    "code",
    [
        "import dolma_kit",
        "from dolma_kit.cli import run; run(['--help'])",
        "from dolma_kit.cli import run; run(['list', 'taggers'])",
        "from dolma_kit import registry; [registry.tagger(i).spec for i in ('gopher_v2', 'c4_v2')]",
    ],
)
def test_cheap_things_load_nothing_heavy(code: str) -> None:
    allowed = {"numpy"} if "list" in code or "registry" in code else set()
    assert loaded_by(code) & (HEAVY | {"numpy"}) <= allowed


def test_help_answers_within_half_a_second() -> None:
    def seconds() -> float:
        started = time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", "dolma_kit", "--help"], capture_output=True, check=True, cwd=ROOT
        )
        return time.perf_counter() - started

    assert min(seconds() for _ in range(5)) < 0.5


def test_public_functions_stay_functions_when_every_module_is_imported() -> None:
    """No module bears the name of a public function of its package and so takes its place."""
    code = "\n".join(
        [
            *(f"import {name}" for name in modules() if not name.endswith("__main__")),
            "import dolma_kit",
            "for name in dolma_kit.__all__:",
            "    value = getattr(dolma_kit, name)",
            "    is_module = hasattr(value, '__path__') or hasattr(value, '__file__')",
            "    assert name == '__version__' or callable(value) and not is_module, name",
        ]
    )
    loaded_by(code)


def test_every_submodule_imports() -> None:
    for package in PACKAGES:
        for info in pkgutil.walk_packages(importlib.import_module(package).__path__, f"{package}."):
            if not info.name.endswith("__main__"):
                importlib.import_module(info.name)


def test_a_kernel_loads_without_scipy_and_finds_it_when_it_needs_it() -> None:
    """numba would import scipy.linalg to see whether it is there, for longer than all else."""
    code = (
        "import sys, numpy as np\n"
        "from dolma_kit import kernels\n"
        "kernels.load(('replacements',))\n"
        "assert not [name for name in sys.modules if name.startswith('scipy.linalg')]\n"
        "import numba\n"
        "dot = numba.njit(lambda a: np.dot(a, a))\n"
        "print(dot(np.array([[1.0, 2.0], [3.0, 4.0]])).sum())\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (run.returncode, run.stdout.strip()) == (0, "54.0"), run.stderr
