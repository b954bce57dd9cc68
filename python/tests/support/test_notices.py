from __future__ import annotations

import ast
import inspect
import warnings
from importlib.resources import files
from pathlib import Path

import pytest

from deepscore.data.modality import RNA
from deepscore.features.select import common_features
from synthetic import blocks_of


def test_a_warning_names_the_callers_line():
    with pytest.warns(UserWarning, match="Only 4 features") as caught:
        common_features(blocks_of([[1, 0, 2, 5]]), [], 9, "variable", RNA)
    here = inspect.currentframe().f_lineno
    assert (caught[0].filename, caught[0].lineno) == (__file__, here - 1)


def test_a_warning_in_another_thread_is_given_all_the_same():
    from concurrent.futures import ThreadPoolExecutor

    from deepscore.support.notices import warn

    with warnings.catch_warnings(record=True) as caught, ThreadPoolExecutor(1) as pool:
        warnings.simplefilter("always")
        pool.submit(warn, "told").result()
    assert [str(one.message) for one in caught] == ["told"]


def test_a_verb_gives_each_warning_once_in_a_call():
    from deepscore.support.notices import telling_once, warn

    @telling_once
    def step(*texts):
        for text in texts:
            warn(text)

    @telling_once
    def verb():
        step("one", "one")
        step("one", "two")

    for call, expected in ((verb, ["one", "two"]), (verb, ["one", "two"]), (lambda: step("one"), ["one"])):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            call()
        assert [str(one.message) for one in caught] == expected
    warn_here = inspect.currentframe().f_code.co_filename
    assert {one.filename for one in caught} == {warn_here}
    with pytest.raises(ZeroDivisionError):
        telling_once(lambda: 1 / 0)()


def test_what_is_told_cannot_command_a_terminal(caplog):
    from deepscore.support.notices import logger, warn

    with pytest.warns(UserWarning, match=r"^a\\x1b\[2J$"):
        warn("a\x1b[2J")
    with caplog.at_level("INFO", "deepscore"):
        logger.info("%d genes of %s", 3, "\x1b[2J")
    assert caplog.messages == ["3 genes of \\x1b[2J"]


def test_nothing_else_warns_or_names_the_logger():
    for path in Path(str(files("deepscore"))).rglob("*.py"):
        if path.name == "notices.py":
            continue
        calls = [ast.unparse(node.func) for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
        assert "warnings.warn" not in calls, path
        assert path.name == "cli.py" or "logging.getLogger" not in calls, path


def test_what_is_to_be_typed_is_said_in_the_language_of_the_call():
    from deepscore.support.notices import said, speaking

    def advice():
        return said(python="adata.T", r="t(x)")

    assert advice() == "adata.T"
    with speaking("r"):
        assert advice() == "t(x)"
    assert advice() == "adata.T"
