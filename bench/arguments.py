"""What the programs here take on their command lines."""

import argparse
from collections.abc import Callable, Collection


def names(known: Collection[str] = ()) -> Callable[[str], list[str]]:
    """Names with commas between them; any, where none are known."""

    def parse(text: str) -> list[str]:
        for name in text.split(","):
            if known and name not in known:
                raise argparse.ArgumentTypeError(f"{name}: unknown; there is {', '.join(known)}")
        return text.split(",")

    return parse


def positive(text: str) -> int:
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text}: take a whole number above 0")
    return int(text)
