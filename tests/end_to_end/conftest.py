"""Whole runs of the workflow in copies of the project."""

import pytest
from tests.end_to_end.canaries import plant

from projects import SMALL_DEMO, Project, copy_project


@pytest.fixture(scope="session")
def finished(tmp_path_factory) -> Project:
    """A small demo cohort through the whole workflow, once for all tests that look at its results.

    Its files and one report hold planted identifiers; see test_canaries.py.
    """
    project = copy_project(tmp_path_factory.mktemp("finished"))
    project.configure(SMALL_DEMO)
    project.snakemake("demo/demo/reports.csv")
    plant(project.folder / "demo" / "demo")
    project.snakemake("all")
    return project


@pytest.fixture
def project(tmp_path) -> Project:
    """A copy of the project in which nothing has run yet."""
    project = copy_project(tmp_path)
    project.configure({})
    return project
