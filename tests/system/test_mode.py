"""A producer asks for another mode: the sender's source changes, or keeps its own and that is said."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest

from tests.support.player_with_dashboard import Rig, eventually, report

pytestmark = pytest.mark.net


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    one = Rig(tmp_path)
    yield one
    one.close()


def ask(rig: Rig, mode: str) -> None:
    async def send() -> None:
        async with aiohttp.ClientSession() as session, session.ws_connect(rig.url + "ws") as ws:
            await ws.send_json({"do": "mode", "mode": mode})
            await asyncio.sleep(0.2)

    asyncio.run(send())


def test_the_test_card_takes_the_mode_that_is_asked_for_and_the_picture_goes_on(rig: Rig) -> None:
    player = rig.play()
    sender = rig.send()
    player.wait_for("sender A-CAM: 640x360@30")
    ask(rig, "1280x720@25")
    sender.wait_for("the receiver requested 1280x720@25")
    player.wait_for("sender A-CAM: 1280x720@25")
    eventually(lambda: report(rig)["mode"] == {"width": 1280, "height": 720, "rate": "25"})
    before = report(rig)["frames"]["presented"]
    eventually(lambda: report(rig)["frames"]["presented"] > before + 20)
    assert "keeps" not in player.text()


def test_what_the_test_card_cannot_draw_is_said_at_both_ends_and_all_stays(rig: Rig) -> None:
    player = rig.play()
    sender = rig.send()
    player.wait_for("sender A-CAM: 640x360@30")
    ask(rig, "320x180@30")
    sender.wait_for("requested mode 320x180@30 is not available: mode 320x180@30: the test card needs at least")
    player.wait_for("the sender keeps 640x360@30: requested mode 320x180@30 is not available")
    before = report(rig)["frames"]["presented"]
    eventually(lambda: report(rig)["frames"]["presented"] > before + 20)


def test_a_mode_that_is_none_is_a_mistake_of_the_page(rig: Rig) -> None:
    rig.play()

    async def send() -> dict[str, str]:
        async with aiohttp.ClientSession() as session, session.ws_connect(rig.url + "ws") as ws:
            await ws.send_json({"do": "mode", "mode": "4k"})
            while True:
                message = await ws.receive_json()
                if message["type"] == "mistake":
                    found: dict[str, str] = message
                    return found

    assert asyncio.run(send())["text"] == "mode: invalid mode"
