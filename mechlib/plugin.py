"""The pytest plugin: options, collection, running. Each hook stands in the file of mechlib.judging that is named after
it.

Workers of pytest-xdist judge; the process that the user started keeps the record, the register and the report.
"""

import os

# Before numpy is imported: resampling multiplies small matrices, and threads that wait for each other cost more than
# they bring. torch's own threads are another matter, and not touched.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from mechlib.judging.beginning import pytest_report_header
from mechlib.judging.collection import (
    pytest_collection_modifyitems,
    pytest_generate_tests,
    pytest_make_collect_report,
    pytest_pycollect_makeitem,
)
from mechlib.judging.options import pytest_addoption, pytest_configure, pytest_terminal_summary
from mechlib.judging.running import pytest_pyfunc_call, pytest_report_teststatus, pytest_xdist_make_scheduler

__all__ = [
    "pytest_addoption", "pytest_collection_modifyitems", "pytest_configure", "pytest_generate_tests",
    "pytest_make_collect_report", "pytest_pycollect_makeitem", "pytest_pyfunc_call", "pytest_report_header",
    "pytest_report_teststatus", "pytest_terminal_summary", "pytest_xdist_make_scheduler",
]  # fmt: skip
