"""Trains a classifier of iris flowers and writes it beside this file, as model.joblib."""

from __future__ import annotations

import os
from pathlib import Path

import joblib
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler


def train() -> Pipeline:
    """A fitted pipeline: ``[N, 4]`` measurements in centimetres to one of three species."""
    flowers = load_iris()
    return make_pipeline(StandardScaler(), LogisticRegression()).fit(flowers.data, flowers.target)


def main() -> None:
    """Writes the model and says where."""
    path = Path(__file__).with_name("model.joblib")
    joblib.dump(train(), path)
    print(f"wrote {os.path.relpath(path)}")


if __name__ == "__main__":
    main()
