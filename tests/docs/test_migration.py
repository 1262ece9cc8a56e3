from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "migration.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| ([RW]\d+) \| .+ \| `(tests/[\w/]+\.py)::(\w+)` \|$", PAGE, re.MULTILINE)
#: The faults of MLServer that this one has to be free of by now.
FAULTS = (
    "R1 R2 R3 R4 R5 R6 R7 R8 R9 R10 W1 W2 W3 W4 W5 W6 W8 W9 W10 W11 W12 W13 W14 W15 W16 W17 "
    "W18 W19 W20 W21 W22 W23 W24 W25 W26 W27 W28 W29 W30 W31 W32 W33 W34 W37 W38 W39 W42 W43 "
    "W44 W45 W46 W47 W49 W50 W51 W52 W53 W54 W55 W56 W57 W58 W59 W61 W67 W68 W73 W74 W75 W76 "
    "W78 W79 W83"
)


def test_every_fault_has_its_row():
    assert [name for name, _, _ in ROWS] == FAULTS.split()


@pytest.mark.parametrize(("name", "file", "test"), ROWS, ids=[row[0] for row in ROWS])
def test_the_test_that_is_named_is_there(name, file, test):
    assert re.search(rf"^(async )?def {test}\(", (ROOT / file).read_text("utf-8"), re.MULTILINE)
