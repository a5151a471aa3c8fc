"""Lets the tests import `scenes`, beside them, under every pytest from 7.0 on."""

import os
import sys

sys.path.insert(0, os.path.dirname(__file__))
