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


@pytest.mark.parametrize("executor", [InlineExecutor, ThreadsExecutor])
def test_a_built_in_executor_streams_and_calls_as_the_interface_says(executor):
    assert inspect.isasyncgenfunction(executor.predict_stream)
    assert parameters(executor.predict_stream) == parameters(Executor.predict_stream)
    assert inspect.iscoroutinefunction(executor.call)
    assert parameters(executor.call) == parameters(Executor.call)


def test_a_model_streams_as_executors_ask():
    assert parameters(MLModel.predict_stream) == parameters(RunnableModel.predict_stream)
