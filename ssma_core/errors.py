"""The one exception for faults that a user can correct."""


class SsmaError(Exception):
    """Something that the user gave is wrong. The message says what is wrong, where, and what to do.
    The command line prints it without a traceback. The node logs it and continues, or refuses the
    transition."""


class NoAnswer(SsmaError):
    """The model gave no answer, or one that cannot be right, and the images are not why: loading it
    again, or starting the program again, may help."""
