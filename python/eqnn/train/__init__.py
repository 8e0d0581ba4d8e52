# SPDX-License-Identifier: BSD-3-Clause
"""Training of model files: the stage graph in JAX, data, losses, `eqnn train` (docs/train.md).

Only this package needs JAX, and of it not what reads configurations: mistakes are told without.
"""
