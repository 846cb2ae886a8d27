"""The one error class whose messages are written for the reader."""


class BookError(ValueError):
    """An error whose message is meant for the reader: what was wrong, what was expected, what to do.

    The command line prints it as one line and exits with code 2; in a notebook it is an ordinary exception.
    """
