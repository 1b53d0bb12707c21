"""A correct receiver, and copies of it into each of which one small fault is planted."""

from receivers import faults_of_judging, faults_of_reading, faults_of_serving
from receivers.correct import FAULTS, Correct, running

__all__ = ["FAULTS", "Correct", "faults_of_judging", "faults_of_reading", "faults_of_serving", "running"]
