from __future__ import annotations

import keyword
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlserver_core.cli.new_plugin.names import PluginNames

WORD = st.from_regex(r"[a-z][a-z0-9]{0,7}", fullmatch=True).filter(lambda each: each != "mlserver")
WORDS = st.lists(WORD, min_size=1, max_size=4)


@pytest.mark.parametrize(
    ("given", "name", "distribution", "class_name"),
    [
        ("fraud-score", "fraud-score", "mlserver-core-fraud-score", "FraudScore"),
        ("fraud_score", "fraud-score", "mlserver-core-fraud-score", "FraudScore"),
        ("FraudScore", "fraud-score", "mlserver-core-fraud-score", "FraudScore"),
        ("fraudScore", "fraud-score", "mlserver-core-fraud-score", "FraudScore"),
        ("HTTPModel2", "http-model2", "mlserver-core-http-model2", "HttpModel2"),
        ("mlserver-fraud-score", "fraud-score", "mlserver-fraud-score", "FraudScore"),
        ("mlserver_core_fraud", "fraud", "mlserver-core-fraud", "Fraud"),
        ("mlservers", "mlservers", "mlserver-core-mlservers", "Mlservers"),
    ],
)
def test_all_names_come_from_the_one_given(given, name, distribution, class_name):
    assert PluginNames.derive(given) == PluginNames(
        given=given,
        name=name,
        distribution=distribution,
        package=distribution.replace("-", "_"),
        class_name=class_name,
    )


@given(WORDS)
def test_spellings_of_the_same_words_mean_the_same(words):
    names = {PluginNames.derive(sign.join(words)).name for sign in "-_"}
    assert names == {"-".join(words)}


@given(st.text(max_size=12) | WORDS.map("-".join) | st.from_regex(r"[\w-]{1,70}", fullmatch=True))
def test_a_name_is_refused_or_safe_wherever_it_is_written(text):
    try:
        names = PluginNames.derive(text)
    except ValueError as error:
        assert "cannot be a name" in str(error)  # noqa: PT017  # most texts are refused
        return
    assert re.fullmatch(r"[A-Za-z0-9_-]{1,64}", names.given)
    assert re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", names.name)
    assert re.fullmatch(r"mlserver(-[a-z0-9]+)+", names.distribution)
    assert names.package.isidentifier()
    assert not keyword.iskeyword(names.package)
    assert f"{names.class_name}Runtime".isidentifier()


@pytest.mark.parametrize(
    "given",
    [
        *("", " ", ".", "..", "1x", "-x", "x-", "_x", "a--b", "a/b", "a\\b", "a.b", "a b", "x\n"),
        *("café", "ﬁn", "\u0430bc", "x\u200b", "$name", "x'y", "x" * 65, "--help"),
        *("mlserver", "mlserver-core", "MLSERVER_CORE", "mlserver-1x", "mlserver-core-2"),
    ],
)
def test_what_no_package_can_be_called_is_refused_with_what_is_allowed(given):
    with pytest.raises(ValueError, match=r"cannot be a name: .*as in (mlserver-core-)?fraud-score"):
        PluginNames.derive(given)
