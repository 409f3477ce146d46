"""Checks of readers' answers that do not give the answer away."""

import hashlib
import math


def check_number(given: float | None, expected: float, tolerance: float = 0.01) -> str:
    """Whether a reader's number is right, as a sentence.

    Args:
        given: the reader's answer; None while there is none.
        expected: the right one, computed by the chapter.
        tolerance: the largest difference that still counts as right.
    """
    if given is None:
        return "No answer yet: replace None with yours and run the cell again."
    if math.isnan(given):
        return "Not yet: nan is no number."
    if math.isclose(given, expected, abs_tol=tolerance):
        return "Right."
    return f"Not yet: {given:g} is too {'large' if given > expected else 'small'}."


def check_choice(question: str, given: str | None, digest: str) -> str:
    """Whether a reader chose the right letter, known here by its hash only.

    Args:
        question: name of the exercise, which salts the hash.
        given: the reader's letter; None while there is none.
        digest: `choice_digest(question, right letter)`.
    """
    if given is None:
        return "No answer yet: replace None with a letter and run the cell again."
    return (
        "Right." if choice_digest(question, given) == digest else "Not that one. Read the options once more."
    )


def choice_digest(question: str, letter: str) -> str:
    """Hash of an exercise's right letter, which may stand in brackets as the options do: "(b)"."""
    return hashlib.sha256(f"{question}:{letter.strip(' ().').lower()}".encode()).hexdigest()[:12]
