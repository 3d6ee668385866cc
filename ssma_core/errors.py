"""The one exception for what a user can mend."""


class SsmaError(Exception):
    """Something the user gave is wrong. The message says what, where, and what to do; the command
    line prints it without a traceback, the node logs it and goes on or refuses the transition."""
