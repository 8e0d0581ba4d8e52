# SPDX-License-Identifier: BSD-3-Clause
"""What potentials/organic_tdn.eqnn is trained with: README.md in this folder."""
