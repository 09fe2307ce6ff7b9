"""thinair wifi: what is read of `iw`, what is chosen, what is written."""

from __future__ import annotations

import os
import signal
import stat
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.paths import FIXTURES
from thinair.link.errors import ConfigError
from thinair.wifi import profiles, survey
from thinair.wifi.control import Foreground
from thinair.wifi.profiles import KEY_CHARACTERS, Network, new_key, own_key
from thinair.wifi.survey import Channel, Interface, Neighbour, Report, Station, choose_channel, find_problems

pytestmark = pytest.mark.quick
FIXTURES = FIXTURES / "wifi"

channels = st.builds(
    Channel,
    number=st.integers(1, 165),
    mhz=st.sampled_from([2412, 2437, 2462, 5180, 5260, 5500, 5745]),
    disabled=st.booleans(),
    no_ir=st.booleans(),
    radar=st.booleans(),
)
neighbours = st.builds(
    Neighbour,
    bssid=st.just("02:00:00:00:00:01"),
    mhz=st.sampled_from([2412, 2437, 5180]),
    signal_dbm=st.floats(-95, -20),
)


@given(st.lists(channels, max_size=12), st.lists(neighbours, max_size=8))
def test_a_forbidden_channel_is_never_chosen(offered: list[Channel], heard: list[Neighbour]) -> None:
    allowed = [one for one in offered if not (one.disabled or one.no_ir or one.radar)]
    if not allowed:
        with pytest.raises(ValueError, match="no channel"):
            choose_channel(offered, heard)
    else:
        assert choose_channel(offered, heard) in allowed


def test_the_channel_with_the_least_power_of_others_is_chosen_overlap_counted() -> None:
    two = [Channel(number, 2407 + 5 * number) for number in range(1, 12)]
    heard = [Neighbour("a", 2412, -40), Neighbour("b", 2437, -70), Neighbour("c", 2462, -50)]
    assert choose_channel(two, heard).number == 6
    assert choose_channel([*two, Channel(36, 5180)], heard).number == 36, "5 GHz where there is any"


def test_what_iw_says_of_the_kernels_simulated_radios_is_read() -> None:
    phy = survey.parse_phy((FIXTURES / "phy.txt").read_text())
    assert phy.ap
    assert phy.sae_station
    assert {channel.number for channel in phy.channels if channel.for_ap} >= {1, 6, 11}
    assert not next(channel for channel in phy.channels if channel.number == 36).for_ap, "no country is set"
    assert not next(channel for channel in phy.channels if channel.number == 14).for_ap
    assert survey.parse_country((FIXTURES / "reg.txt").read_text()) == "00"
    assert survey.parse_country("global\ncountry US: DFS-FCC\n") == "US"
    interface = survey.parse_interface("wlan0", (FIXTURES / "info-ap.txt").read_text())
    assert (interface.kind, interface.ssid) == ("AP", "thinair-lab")
    assert interface.channel > 0
    (station,) = survey.parse_stations((FIXTURES / "stations.txt").read_text())
    assert station.signal_dbm == -30
    assert station.tx_packets > 0
    (found,) = survey.parse_scan((FIXTURES / "scan.txt").read_text())
    assert (found.ssid, found.mhz) == ("thinair-lab", interface.mhz)


def test_a_survey_is_that_of_the_channel_in_use() -> None:
    text = (
        "Survey data from wlan0\n\tfrequency:\t\t\t2412 MHz\n\tchannel active time:\t\t5 ms\n"
        "Survey data from wlan0\n\tfrequency:\t\t\t2437 MHz [in use]\n\tnoise:\t-95 dBm\n"
        "\tchannel active time:\t\t1000 ms\n\tchannel busy time:\t\t250 ms\n"
    )
    assert survey.parse_survey(text) == survey.Survey(2437, 1000, 250)
    assert survey.parse_survey("Survey data from wlan0\n\tfrequency: 2412 MHz\n") is None


def test_each_problem_of_the_radio_is_reported_with_its_fix() -> None:
    interface = Interface("wlan0", "managed", "studio", 6, 2437, 20)
    station = Station("02:00:00:00:00:01", -80, 54, 54, 900, 3, 2000)
    others = tuple(Neighbour(str(number), 2437, -60, f"n{number}") for number in range(4))
    said = " ".join(find_problems(Report(interface, (station,), True, 0.7, others, bluetooth=True)))
    for words in (
        "power_save off",
        "disable --now bluetooth",
        "weak",
        "busy 70 %",
        "twice",
        "2.4 GHz",
        "retransmitted",
    ):
        assert words in said
    own = Report(Interface("wlan0", "AP", "thinair-x", 36, 5180, 20), (Station("a", -40),), power_save=False, load=0.1)
    assert find_problems(own) == ()


def test_a_key_is_made_once_kept_private_and_strong(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "key"
    key = own_key(file)
    assert own_key(file) == key
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert len(key) == KEY_CHARACTERS
    assert len({new_key() for _ in range(100)}) == 100


@pytest.mark.parametrize(("ssid", "key"), [("", "longenough"), ("x" * 33, "longenough"), ("a\nb", "longenough"), ("a", "short"), ("a", "kéyzzzzzz")])  # fmt: skip # noqa: E501
def test_names_and_keys_that_cannot_be_are_one_line(ssid: str, key: str) -> None:
    with pytest.raises(ConfigError):
        Network(ssid, key)


@pytest.mark.parametrize(("wpa3", "words"), [("no", "wpa_key_mgmt=WPA-PSK\n"), ("both", "WPA-PSK SAE\n"), ("only", "wpa_key_mgmt=SAE\n")])  # fmt: skip # noqa: E501
def test_the_access_points_files_say_what_was_chosen(tmp_path: Path, wpa3: str, words: str) -> None:
    network = Network('thinair "é"', "abcdefgh", "DE", 36, 5180, wpa3)
    text = profiles.hostapd("wlan0", network, tmp_path)
    assert words in text
    assert "channel=36\n" in text
    assert "hw_mode=a\n" in text
    assert '\\x22\\xc3\\xa9\\x22"' in text
    keyfile = profiles.network_manager("wlan0", network, access_point=True)
    assert "mode=ap" in keyfile
    assert "never-default=true" in keyfile
    assert "powersave=2" in keyfile
    assert "dhcp-option=option:router\n" in profiles.dnsmasq("wlan0"), "no way further"


@pytest.mark.slow
def test_a_signal_ends_the_wait_wherever_it_comes() -> None:
    """An Event's own lock would be waited for by the thread that holds it."""
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    try:
        for step in range(100):
            front = Foreground(lambda _: None)
            threading.Timer(1e-5 * step, os.kill, (os.getpid(), signal.SIGTERM)).start()
            assert front.stop.wait(10)
        assert front.stop.is_set()
        assert not Foreground(lambda _: None).stop.wait(0.01)
    finally:
        for number, handler in zip((signal.SIGINT, signal.SIGTERM), before, strict=True):
            signal.signal(number, handler)
