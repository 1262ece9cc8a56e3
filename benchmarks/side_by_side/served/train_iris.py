"""Trains the classifier of the iris case into the file that is named."""

import sys

import joblib
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

features, classes = load_iris(return_X_y=True)
joblib.dump(LogisticRegression(max_iter=1000).fit(features, classes), sys.argv[1])
