"""What a text must be so that it can be stored, sent and shown."""


def holds_half_character(text: str) -> bool:
    """Whether `text` holds half a surrogate pair alone, which JSON can and no encoding of a file can."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False
