"""Sentences whose numbers come from the run."""

from IPython.display import Markdown, display


def say(text: str) -> None:
    """Show a sentence as prose; build it as an f-string from what was computed."""
    display(Markdown(text))
