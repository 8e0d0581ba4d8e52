// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cstdlib>
#include <string>

namespace eqnn::test {

/// The folder of golden numbers: that of the project, or EQNN_TEST_DATA on another machine (tests/gpu).
inline std::string golden_folder() {
  const char* const variable = std::getenv("EQNN_TEST_DATA");
  return std::string(variable == nullptr ? EQNN_TEST_DATA : variable) + "/golden/";
}

} // namespace eqnn::test
