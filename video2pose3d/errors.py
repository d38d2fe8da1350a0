"""What the user can mend: an error that is shown as one line."""


class UserError(Exception):
    """Something outside the program is wrong: a file, an option, a missing package.

    The command line prints it as one line and exits; anything else is a bug and keeps its
    traceback. The message says what is wrong, which file it is about, and the cure.

    >>> raise UserError("no video stream", path="talk.mp4", cure="give a file with pictures in it")
    talk.mp4: no video stream; give a file with pictures in it
    """

    def __init__(self, what: str, *, path: object = None, cure: str | None = None) -> None:
        self.what = what
        self.path = None if path is None else str(path)
        self.cure = cure
        super().__init__(str(self))

    def __str__(self) -> str:
        where = "" if self.path is None else f"{self.path}: "
        cure = "" if self.cure is None else f"; {self.cure}"
        # A file name may hold line breaks and control characters: the message stays one line.
        return "".join(c if c.isprintable() else "?" for c in f"{where}{self.what}{cure}")
