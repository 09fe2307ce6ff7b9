"""EDIDs as they come out of a drawer: read, or refused with a sentence, never a traceback."""

from __future__ import annotations

import random
import re

from tests.edid.test_edid import mutated, origin, valid_cached
from tests.support.seeds import seed
from thinair.edid import show
from thinair.edid.check import check
from thinair.edid.errors import EdidError
from thinair.edid.fix import fix
from thinair.edid.parse import parse


def test_ten_thousand_random_and_mutated_edids_are_read_or_refused_with_a_sentence() -> None:
    dice = random.Random(seed())
    pool = [origin(), *valid_cached()]
    refused, read, fixed = set(), 0, 0
    for number in range(10_000):
        data = mutated(dice, pool) if number % 10 else dice.randbytes(dice.choice((0, 1, 127, 128, 256, 384)))
        try:
            parsed = parse(data)
            check(data)
            if number % 4 == 1:
                assert show.show(parsed)
                assert show.explain(parsed)
            if number % 4 == 2:
                better, _ = fix(data)
                assert check(better) == []
                fixed += 1
            read += 1
        except EdidError as error:
            refused.add(str(error))
    assert read > 5000
    assert fixed > 500
    assert len(refused) > 5
    assert [said for said in refused if not re.fullmatch(r"[^\n]{10,200}", said)] == []
