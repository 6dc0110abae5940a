"""What cannot be imported, and why; and what the user should know of what can."""


class PosteriorError(ValueError):
    """A posterior that mu8 cannot take over as it is; the message has the cause and the next step.

    summary: one line. problems: all that was found, one line each.
    """

    def __init__(self, summary, problems=()):
        super().__init__("\n  ".join([summary, *problems]))
        self.problems = tuple(problems)


class PosteriorWarning(UserWarning):
    """What was taken how and why: a Posterior's notes, said once more where nobody might look."""
