"""Every error that a user can cause: one sentence that names the input and says what to do about it.

The command line prints a `BeigeError` without a traceback and exits with 2.
"""


class BeigeError(Exception):
    """Base of all errors that Beige raises on purpose; its text is one sentence for a person."""


class UsageError(BeigeError):
    """An option, argument or field that does not exist, or a value out of its bounds."""


class InputError(BeigeError):
    """A text, file or record that cannot be taken as it is."""


class ModelNotFoundError(BeigeError):
    """No model card and no folder has this name."""


class SourceError(BeigeError):
    """No source gave the checkpoint; the text lists what each one said."""


class ChecksumError(SourceError):
    """A file that arrived is not the file that the card names."""


class CheckpointError(BeigeError):
    """A checkpoint's files are missing, damaged, hostile or of an unknown architecture."""


class EngineError(BeigeError):
    """The engine cannot run this checkpoint here, or a device failed."""


class NotFiniteError(EngineError):
    """An output is NaN or infinite; the text names the input."""


class StoreError(BeigeError):
    """An index that cannot be opened, read or written; base of the index's errors."""


class FingerprintError(StoreError):
    """The index's vectors were made by another model."""


class GoneError(StoreError):
    """An index that is open is not there any more: another has taken its place, or it was removed."""


class LockedError(StoreError):
    """Another process is writing to the index."""


class RemoteError(BeigeError):
    """A provider or a server refused, or did not answer as its kind does."""


class BudgetError(BeigeError):
    """A run would spend more on a provider than its limit, or nobody knows what it would spend."""


class MissingExtraError(BeigeError):
    """A feature needs packages that are not installed; the text carries the install line."""

    def __init__(self, feature: str, extra: str) -> None:
        super().__init__(f"{feature} needs the extra {extra!r}: pip install 'beige[{extra}]'")
        self.extra = extra


class MissingPackageError(BeigeError, ImportError):
    """A part of another framework needs that framework; the text carries the install line."""

    def __init__(self, module: str, package: str) -> None:
        super().__init__(f"{module} needs {package}: pip install {package}")
