# SPDX-License-Identifier: BSD-3-Clause
"""Training of model files: the stage graph in JAX, data, losses, `eqnn train` (docs/train.md).

Only this package needs JAX. Reading configurations does not, so mistakes are reported without it.
"""
