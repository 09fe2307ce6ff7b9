"""What a person can get wrong with an EDID. The message is one line that says what to do."""


class EdidError(ValueError):
    """A file holds no EDID, or one that cannot be read or fixed."""


class ModeError(EdidError):
    """A mode, a name or a preset that no EDID of ours can offer."""
