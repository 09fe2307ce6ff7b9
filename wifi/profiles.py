"""Files for hostapd, dnsmasq, wpa_supplicant and NetworkManager, and the key that stands in them."""

from __future__ import annotations

import os
import uuid
from dataclasses import dataclass
from pathlib import Path

from thinair.link.errors import ConfigError, FileError
from thinair.link.files import writing

NETWORK = "10.55.0"  # /24; the access point is .1
AP_ADDRESS = f"{NETWORK}.1"
KEY_CHARACTERS = 20
_ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"  # nothing that is read wrong; 20 of these are 99 bits
_UUID_SPACE = uuid.UUID("6e6f7468-696e-6720-6275-742061697200")


@dataclass(frozen=True, slots=True)
class Network:
    ssid: str
    key: str
    country: str = ""
    channel: int = 0
    mhz: int = 0
    wpa3: str = "no"  # "no", "both", "only"

    def __post_init__(self) -> None:
        if not 1 <= len(self.ssid.encode()) <= 32 or not self.ssid.isprintable():
            raise ConfigError(f"network name {self.ssid!r}: give 1 to 32 bytes that can be printed")
        if not 8 <= len(self.key) <= 63 or not (self.key.isascii() and self.key.isprintable()):
            raise ConfigError("the network's key has 8 to 63 plain characters")


def new_key() -> str:
    """From the system's randomness, without a bias."""
    size = len(_ALPHABET)
    out: list[str] = []
    while len(out) < KEY_CHARACTERS:
        out += [_ALPHABET[byte % size] for byte in os.urandom(32) if byte < 256 // size * size]
    return "".join(out[:KEY_CHARACTERS])


def own_key(file: Path) -> str:
    """This device's key: made at first use, for its owner's eyes only. Raises FileError."""
    try:
        return file.read_text().strip()
    except FileNotFoundError:
        key = new_key()
    except OSError as error:
        raise FileError(f"cannot read {file}: {error.strerror}") from error
    write_private(file, key + "\n")
    return key


def write_private(file: Path, text: str) -> None:
    """A file with mode 0600 from its first byte on. Raises FileError."""
    with writing(file):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.unlink(missing_ok=True)
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as opened:
            opened.write(text)


def hostapd(interface: str, network: Network, control: Path) -> str:
    """hostapd.conf(5). WMM carries the video's priority; isolation would keep nobody from anything here."""
    modes = {"no": ("WPA-PSK", 1), "both": ("WPA-PSK SAE", 1), "only": ("SAE", 2)}
    key_mgmt, protection = modes[network.wpa3]
    lines = [
        f"interface={interface}", "driver=nl80211", f"ctrl_interface={control}", f"ssid2={_quoted(network.ssid)}",
        f"country_code={network.country}", "ieee80211d=1", f"hw_mode={'g' if network.mhz < 3000 else 'a'}",
        f"channel={network.channel}", "ieee80211n=1", "wmm_enabled=1", "ap_isolate=0",
        "beacon_int=100", "dtim_period=1",
        "auth_algs=1", "wpa=2", f"wpa_key_mgmt={key_mgmt}", "rsn_pairwise=CCMP", f"ieee80211w={protection}",
        f"wpa_passphrase={network.key}",
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


def dnsmasq(interface: str) -> str:
    """Addresses for the receivers, and no way further: there is no Internet behind a camera."""
    return (
        f"interface={interface}\nbind-dynamic\nexcept-interface=lo\nport=0\nno-resolv\nno-hosts\nleasefile-ro\n"
        f"dhcp-authoritative\ndhcp-range={NETWORK}.10,{NETWORK}.99,255.255.255.0,12h\n"
        "dhcp-option=option:router\ndhcp-option=option:dns-server\n"
    )


def wpa_supplicant(network: Network, control: Path) -> str:
    """wpa_supplicant.conf(5). No scans in the background while live: bgscan is empty."""
    country = f"country={network.country}\n" if network.country else ""
    return (
        f"ctrl_interface={control}\n{country}ap_scan=1\nnetwork={{\n    ssid={network.ssid.encode().hex()}\n"
        f'    psk="{network.key}"\n    key_mgmt=WPA-PSK SAE\n    ieee80211w=1\n    scan_ssid=1\n    bgscan=""\n}}\n'
    )


def network_manager(interface: str, network: Network, *, access_point: bool) -> str:
    """A keyfile (nm-settings-keyfile(5)). Shared mode hands out addresses; never-default: no way to the Internet."""
    band = "bg" if network.mhz < 3000 else "a"
    radio = f"mode=ap\nband={band}\nchannel={network.channel}\n" if access_point else "mode=infrastructure\n"
    key_mgmt = "sae" if network.wpa3 == "only" else "wpa-psk"
    ipv4 = f"method=shared\naddress1={AP_ADDRESS}/24\n" if access_point else "method=auto\n"
    name = f"thinair {network.ssid}"
    return (
        f"[connection]\nid={name}\nuuid={uuid.uuid5(_UUID_SPACE, name)}\ntype=wifi\ninterface-name={interface}\n"
        f"autoconnect=true\nautoconnect-retries=0\n\n[wifi]\nssid={network.ssid}\n{radio}powersave=2\n\n"
        f"[wifi-security]\nkey-mgmt={key_mgmt}\nproto=rsn;\npairwise=ccmp;\npsk={network.key}\n\n"
        f"[ipv4]\n{ipv4}never-default=true\n\n[ipv6]\nmethod=link-local\n"
    )


def _quoted(text: str) -> str:
    """hostapd's printf form."""
    plain = (c if c.isascii() and c not in '"\\' else "".join(f"\\x{b:02x}" for b in c.encode()) for c in text)
    return 'P"' + "".join(plain) + '"'
