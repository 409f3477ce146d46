"""What is raised where a suspect gives no answer."""


class SuspectError(RuntimeError):
    """A suspect gave no answer that can be used.

    Attributes:
        reason: the kind of failure in a few words, by which failures are counted.
    """

    def __init__(self, message: str, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


class UnusableAnswer(SuspectError):
    """A suspect that could be queried answered with something that says nothing about classes."""
