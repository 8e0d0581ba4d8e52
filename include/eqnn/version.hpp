// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "eqnn/export.h"

namespace eqnn {

/// The version, for example "0.1.0".
EQNN_API const char* version();

/// The abbreviated Git commit that the library was built from; "unknown" if not built in a clone.
EQNN_API const char* commit();

} // namespace eqnn
