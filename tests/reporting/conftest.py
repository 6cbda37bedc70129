from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from dolma_kit.reporting.answers import Report
from dolma_kit.reporting.collecting import collect
from dolma_kit.reporting.page import report_page
from dolma_kit.reporting.settings import Report as Settings

from . import example, pipeline


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the outputs of all stages, to be looked at only."""
    root = tmp_path_factory.mktemp("finished")
    pipeline.make(root)
    return root


@pytest.fixture(scope="session")
def collected(finished: Path) -> Report:
    """What is said of it, statistics measured."""
    return collect(Settings(folder=str(finished), workers=1, quiet=True))


@pytest.fixture
def own(finished: Path, collected: Report, tmp_path: Path) -> Path:
    """A copy of it, with its statistics, to be changed."""
    return Path(shutil.copytree(finished, tmp_path / "own"))


@pytest.fixture(scope="session")
def whole(collected: Report) -> Report:
    """The same with what such a folder has nothing of: something for each section."""
    return example.full(collected)


@pytest.fixture(scope="session")
def page_text(whole: Report) -> str:
    return report_page(whole)


@pytest.fixture(scope="session")
def hostile_text(whole: Report) -> str:
    """The page of a report whose every text would act if it could."""
    return report_page(example.hostile(whole))
