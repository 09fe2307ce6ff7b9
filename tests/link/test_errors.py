"""thinair.link.errors: one table of exit codes, the same in the document."""

import re

import pytest

from tests.support.paths import ROOT
from thinair.link import errors
from thinair.link.errors import EXIT_HELP, ConfigError, DeviceError, Exit, LinkError

pytestmark = pytest.mark.quick


def test_the_document_lists_the_exit_codes_as_they_are() -> None:
    text = (ROOT / "docs" / "exit-codes.md").read_text()
    rows = re.findall(r"^\| (\d+) \| (\w+) \| (.+) \|$", text, re.M)
    assert rows == [(str(int(code)), code.name, EXIT_HELP[code]) for code in Exit]


def test_every_error_for_people_has_an_exit_code_and_is_a_link_error() -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, Exception)]
    assert len(kinds) >= 5
    assert all(issubclass(kind, LinkError) and kind.exit_code != Exit.OK for kind in kinds)


def test_a_device_error_is_an_os_error_with_one_line() -> None:
    error = DeviceError("no display: set DISPLAY or use --headless")
    assert isinstance(error, OSError)
    assert str(error) == "no display: set DISPLAY or use --headless"
    assert (error.exit_code, ConfigError("x").exit_code) == (3, 2)
