"""WiFi on the Pi: access point, survey of channels, profiles."""

if __name__ != "thinair.wifi":
    raise ImportError("import thinair.wifi: the folder wifi/ is a part of the package thinair")
