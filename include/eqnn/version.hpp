// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "eqnn/export.h"

namespace eqnn {

/// As in "0.1.0".
EQNN_API const char* version();

/// The commit that the library was built from, as Git abbreviates it; "unknown" outside a clone.
EQNN_API const char* commit();

} // namespace eqnn
