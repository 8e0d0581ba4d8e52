// SPDX-License-Identifier: BSD-3-Clause
// The one exception type of the library.
#pragma once

#include "eqnn/export.h"

#include <stdexcept>

namespace eqnn {

/// The message says what was found, what was expected, where, and how to fix it, in at most two
/// lines.
class EQNN_API Error : public std::runtime_error {
public:
  using std::runtime_error::runtime_error;
};

} // namespace eqnn
