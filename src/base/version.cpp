// SPDX-License-Identifier: BSD-3-Clause
#include "eqnn/version.hpp"

#include "base/version.hpp"

namespace eqnn {

const char* version() { return kVersion; }

const char* commit() { return kCommit; }

} // namespace eqnn
