"""thinair.link.options: arguments over file over defaults; every mistake is one sentence."""

import argparse
from dataclasses import dataclass, fields
from fractions import Fraction
from pathlib import Path
from typing import Annotated, ClassVar

import pytest

from thinair.link.endpoint import Endpoint, parse_listen
from thinair.link.errors import ConfigError, FileError
from thinair.link.options import Option, Settings, add_arguments, load, options, parse_bitrate, switch
from thinair.link.video_mode import Mode
from thinair.receiver.config import ReceiverConfig, split_plain_input
from thinair.sender.config import SenderConfig, check_source, parse_pace, split_plain_output

pytestmark = pytest.mark.quick


def parser_of(kind: type[SenderConfig] | type[ReceiverConfig]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(exit_on_error=False)
    add_arguments(parser, kind)
    return parser


def sender(*arguments: str) -> SenderConfig:
    return load(SenderConfig, parser_of(SenderConfig).parse_args(arguments))


def write(path: Path, text: str) -> Path:
    file = path / "thinair.toml"
    file.write_text(text)
    return file


def test_without_arguments_and_file_the_defaults_hold() -> None:
    assert sender() == SenderConfig()
    assert SenderConfig().mode is None, "each source has a mode of its own"
    assert ReceiverConfig().listen == Endpoint("", 5004)


def test_arguments_go_before_the_file_and_the_file_before_defaults(tmp_path: Path) -> None:
    file = write(tmp_path, '[send]\nbitrate = "4M"\nname = "file"\npace = 300\n[play]\nhud = "line"\nlisten = 6000\n')
    config = sender("--config", str(file), "--name", "argument")
    assert (config.name, config.bitrate_bps, config.pace, config.preset) == ("argument", 4_000_000, 300, "ultrafast")
    player = load(ReceiverConfig, {}, file)
    assert (player.hud, player.listen) == ("line", Endpoint("", 6000))


def test_a_switch_can_be_turned_off_by_argument_over_the_file(tmp_path: Path) -> None:
    file = write(tmp_path, "[send]\nvisual_code = true\n")
    assert sender("--config", str(file), "--no-visual-code").visual_code is False


@pytest.mark.parametrize(
    ("text", "rate"),
    [("25", 25), ("30000/1001", Fraction(30000, 1001)), ("29.97", Fraction(30000, 1001)), ("12.5", Fraction(25, 2))],
)
def test_rates_are_exact(text: str, rate: Fraction) -> None:
    mode = Mode.parse(f"1280x720@{text}")
    assert mode == Mode(1280, 720, Fraction(rate))
    assert Mode.parse(str(mode)) == mode
    assert mode.interval_us == 1_000_000 / Fraction(rate)


@pytest.mark.parametrize(
    ("text", "endpoint"),
    [
        ("localhost:5004", Endpoint("localhost", 5004)),
        ("192.0.2.7:1", Endpoint("192.0.2.7", 1)),
        ("[::1]:5000", Endpoint("::1", 5000)),
        ("[fe80::1%wlan0]:5000", Endpoint("fe80::1%wlan0", 5000)),
    ],
)
def test_addresses_are_read_and_written_alike(text: str, endpoint: Endpoint) -> None:
    assert Endpoint.parse(text) == endpoint
    assert str(endpoint) == text


def test_a_receiver_listens_on_a_port_or_one_address() -> None:
    assert parse_listen("5004") == Endpoint("", 5004)
    assert parse_listen("127.0.0.1:5004") == Endpoint("127.0.0.1", 5004)
    assert parse_listen("0") == Endpoint("", 0)
    assert parse_listen("127.0.0.1:0") == Endpoint("127.0.0.1", 0)


@pytest.mark.parametrize(
    ("text", "bps"), [("8M", 8_000_000), ("800k", 800_000), ("1.5M", 1_500_000), ("123456", 123_456), ("100k", 100_000)]
)
def test_bitrates_take_k_and_m(text: str, bps: int) -> None:
    assert parse_bitrate(text) == bps


def test_plain_targets_are_split() -> None:
    assert split_plain_output("rtp://127.0.0.1:5000") == ("rtp", Endpoint("127.0.0.1", 5000))
    assert split_plain_output("annexb://[::1]:5000") == ("annexb", Endpoint("::1", 5000))
    assert split_plain_input("rtp:5000") == ("rtp", Endpoint("", 5000))
    assert split_plain_input("annexb:127.0.0.1:5000") == ("annexb", Endpoint("127.0.0.1", 5000))


@pytest.mark.parametrize(
    ("read", "text"),
    [
        (Mode.parse, "1920x1080"),
        (Mode.parse, "1920x1080@0"),
        (Mode.parse, "1920x1080@1/0"),
        (Mode.parse, "1920x1080@241"),
        (Mode.parse, "1921x1080@25"),
        (Mode.parse, "8x8@25"),
        (Mode.parse, "99999x16@25"),
        (Mode.parse, "１２８x１２８@25"),
        (Endpoint.parse, "host"),
        (Endpoint.parse, "host:0"),
        (Endpoint.parse, "host:65536"),
        (Endpoint.parse, "::1:5000"),
        (Endpoint.parse, "a b:5000"),
        (parse_listen, "70000"),
        (parse_bitrate, "8MB"),
        (parse_bitrate, "1"),
        (parse_bitrate, "50k"),
        (parse_bitrate, "201M"),
        (parse_pace, "0"),
        (parse_pace, "fast"),
        (split_plain_output, "http://host:1"),
        (split_plain_output, "rtp:host:1"),
        (split_plain_output, "rtp://host:1/path"),
        (split_plain_input, "5000"),
        (check_source, "camera"),
        (check_source, "file:"),
    ],
)
def test_a_wrong_value_is_refused_with_a_sentence_that_says_what_to_do(read: object, text: str) -> None:
    assert callable(read)
    with pytest.raises(ConfigError, match=r": (write|give|use) ") as caught:
        read(text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("[send]\nbitrat = 1\n", "no key 'bitrat'"),
        ('[sender]\nname = "x"\n', "'sender' is unknown: put keys"),
        ('name = "x"\n', "'name' is unknown: put keys"),
        ("[send]\nname = 5\n", "name has the wrong type: give text in quotes"),
        ("[send]\nbitrate = 8.5\n", "bitrate has the wrong type: give text in quotes or a whole number"),
        ("[send]\npriority = true\n", "priority has the wrong type: give a whole number"),
        ('[send]\nvisual_code = "yes"\n', "visual_code has the wrong type: give true or false"),
        ("[send]\nencoder_threads = 99\n", "encoder_threads: '99' is out of range: give 1 to 16"),
        ("[send]\nkey_interval = nan\n", "key_interval: 'nan' is out of range"),
        ('[send]\npreset = "placebo"\n', "preset: 'placebo' is unknown: use ultrafast or"),
        ('[send]\nto = "host"\n', "to: 'host' is not an address"),
        ("[send\n", "is not a TOML file"),
    ],
)
def test_a_wrong_file_is_refused_with_the_place_and_what_to_do(tmp_path: Path, content: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(SenderConfig, {}, write(tmp_path, content))
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_cannot_be_read_ends_in_the_file_code(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="cannot read") as caught:
        load(SenderConfig, {}, tmp_path / "absent.toml")
    assert caught.value.exit_code == 4


def test_a_wrong_argument_is_refused_with_the_same_sentence() -> None:
    with pytest.raises(argparse.ArgumentError, match="'x' is not a video mode: write WIDTHxHEIGHT@RATE"):
        sender("--mode", "x")


@pytest.mark.parametrize("kind", [SenderConfig, ReceiverConfig])
def test_every_field_has_an_option_a_help_and_a_default_that_its_reader_takes(
    kind: type[SenderConfig] | type[ReceiverConfig],
) -> None:
    defaults = {item.name: item.default for item in fields(kind)}
    text = parser_of(kind).format_help()
    for key, (name, option) in options(kind).items():
        assert f"--{key.replace('_', '-')}" in text
        assert option.help
        default = defaults[name]
        if default is not None and not isinstance(default, bool):
            spelled = str(default.port) if isinstance(default, Endpoint) else str(default)
            assert option.read(spelled) == default
    assert set(defaults) == {name for name, _ in options(kind).values()}


@dataclass(frozen=True, slots=True)
class Renamed(Settings):
    SECTION: ClassVar[str] = "send"

    output: Annotated[str, Option("stream address", str, "URL", old_names=("plain", "raw_url"))] = ""
    encryption: Annotated[bool, switch("encrypted link", old_names=("sealed",))] = True


def renamed(*arguments: str) -> Renamed:
    parser = argparse.ArgumentParser(exit_on_error=False)
    add_arguments(parser, Renamed)
    return load(Renamed, parser.parse_args(arguments))


@pytest.mark.parametrize(
    ("arguments", "config", "lines"),
    [
        (["--plain", "a"], Renamed("a"), ["--plain was renamed to --output"]),
        (["--raw-url=a"], Renamed("a"), ["--raw-url was renamed to --output"]),
        (["--no-sealed"], Renamed("", False), ["--no-sealed was renamed to --no-encryption"]),
        (["--sealed"], Renamed(), ["--sealed was renamed to --encryption"]),
        (["--no-encryption", "--output", "a"], Renamed("a", False), []),
        (
            ["--no-sealed", "--plain", "a"],
            Renamed("a", False),
            ["--no-sealed was renamed to --no-encryption", "--plain was renamed to --output"],
        ),
    ],
)
def test_an_old_flag_works_and_logs_one_line_with_the_new_name(
    arguments: list[str], config: Renamed, lines: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert renamed(*arguments) == config
    logged = capsys.readouterr().err.splitlines()
    assert [line.partition(";")[0] for line in logged] == [f"thinair send: {line}" for line in lines]


def test_an_old_key_works_and_logs_one_line_with_file_and_new_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write(tmp_path, '[send]\nplain = "a"\nsealed = false\n')
    assert renamed("--config", str(file)) == Renamed("a", False)
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith(f"thinair send: {file}: plain was renamed to output;")
    assert second.startswith(f"thinair send: {file}: sealed was renamed to encryption;")


def test_a_file_with_both_the_old_and_the_new_key_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"has 'output' and its old name 'plain': delete 'plain'"):
        renamed("--config", str(write(tmp_path, '[send]\nplain = "a"\noutput = "b"\n')))


def test_old_flags_are_not_in_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        renamed("--help")
    text = capsys.readouterr().out
    assert "--output" in text
    assert "--no-encryption" in text
    assert "plain" not in text
    assert "sealed" not in text


def test_a_command_line_that_fills_two_configurations_logs_an_old_flag_once(
    capsys: pytest.CaptureFixture[str],
) -> None:
    parser = parser_of(SenderConfig)
    arguments = parser.parse_args(["--no-sealed"])
    load(SenderConfig, arguments)
    load(ReceiverConfig, arguments)
    assert len(capsys.readouterr().err.splitlines()) == 1
