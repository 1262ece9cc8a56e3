from __future__ import annotations

import inspect

import pytest

from mlserver_core.executors.inline import InlineExecutor
from mlserver_core.executors.interfaces import Executor, RunnableModel
from mlserver_core.executors.threads import ThreadsExecutor
from mlserver_core.model import MLModel


def parameters(function):
    return [*inspect.signature(function).parameters]


@pytest.mark.parametrize("executor", [InlineExecutor, ThreadsExecutor])
@pytest.mark.parametrize("method", ["load", "predict", "unload"])
def test_a_built_in_executor_has_the_methods_of_the_interface(executor, method):
    own, declared = getattr(executor, method), getattr(Executor, method)
    assert inspect.iscoroutinefunction(own)
    assert parameters(own) == parameters(declared)


@pytest.mark.parametrize("method", ["load", "predict", "unload"])
def test_a_model_has_the_methods_that_executors_call(method):
    assert parameters(getattr(MLModel, method)) == parameters(getattr(RunnableModel, method))
