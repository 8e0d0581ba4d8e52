# SPDX-License-Identifier: BSD-3-Clause
"""DFT relaxations of small organic molecules, in the manner of PubChemQCR."""
