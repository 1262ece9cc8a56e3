"""What a new plugin and its parts are called."""

from __future__ import annotations

import re

import attrs

#: Characters of a name; longer ones make file names of wheels that some systems refuse.
_LONGEST = 64
_ALLOWED = re.compile(r"[A-Za-z][A-Za-z0-9]*([-_][A-Za-z0-9]+)*")
#: Before the F of fraudFraud, and before the M of HTTPModel.
_NEXT_WORD = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
#: The prefixes of distributions of plugins: ours, and MLServer's.
_PREFIXES = ("mlserver-core-", "mlserver-")


@attrs.frozen(kw_only=True)
class PluginNames:
    """The names of one plugin: nothing but ASCII letters, digits, ``-`` and ``_`` is in any.

    Attributes:
        given: what the user wrote, which is the folder too.
        name: the runtime, content type, model and entry point: ``fraud-score``.
        distribution: what ``pip`` installs: ``mlserver-core-fraud-score``, or what was given
            where that begins with ``mlserver-``.
        package: what Python imports: ``mlserver_core_fraud_score``.
        class_name: the classes' name without Runtime or Codec: ``FraudScore``.
    """

    given: str
    name: str
    distribution: str
    package: str
    class_name: str

    @classmethod
    def derive(cls, given: str) -> PluginNames:
        """All names from the one that the user wrote, in any usual spelling.

        Raises:
            ValueError: no package of Python can have that name; says what is allowed.
        """
        if len(given) > _LONGEST or not _ALLOWED.fullmatch(given):
            raise ValueError(
                f"{given[:_LONGEST]!r} cannot be a name: up to {_LONGEST} letters from a to z and "
                "digits are allowed, with single - or _ between them, and a letter comes first, as "
                "in fraud-score"
            )
        spelled = _NEXT_WORD.sub("-", given).replace("_", "-").lower()
        prefix = next((each for each in _PREFIXES if spelled.startswith(each)), "")
        name = spelled.removeprefix(prefix)
        if f"{name}-" in _PREFIXES or f"{spelled}-" in _PREFIXES or not name[0].isalpha():
            raise ValueError(
                f"{given!r} cannot be a name: a plugin's own name has to stand in it, and begin "
                "with a letter, as in mlserver-core-fraud-score"
            )
        distribution = spelled if prefix else _PREFIXES[0] + name
        return cls(
            given=given,
            name=name,
            distribution=distribution,
            package=distribution.replace("-", "_"),
            class_name="".join(word.capitalize() for word in name.split("-")),
        )
