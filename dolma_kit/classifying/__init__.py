"""Classifiers made of labelled documents: fastText models, trained, measured and written.

`examples` turns documents into numbered words and holds some out, `training` makes the weights of
them, `model_files` writes these as fastText does, `measures` says how good the model is.
"""

from dolma_kit.classifying.stage import inputs as inputs
from dolma_kit.classifying.stage import tagger as tagger
from dolma_kit.classifying.stage import train_classifier as train_classifier

__all__ = ["inputs", "tagger", "train_classifier"]
