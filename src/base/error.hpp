// SPDX-License-Identifier: BSD-3-Clause
// The one exception type. A message says what was found, what was expected, where, and what to do,
// in at most two lines.
#pragma once

#include <sstream>
#include <stdexcept>
#include <string>

namespace eqnn {

class Error : public std::runtime_error {
public:
  using std::runtime_error::runtime_error;
};

/// Throws Error with all arguments written one after another.
template <class... Parts> [[noreturn]] void fail(const Parts&... parts) {
  std::ostringstream message;
  message.precision(17);
  (message << ... << parts);
  throw Error(message.str());
}

} // namespace eqnn
