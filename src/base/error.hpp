// SPDX-License-Identifier: BSD-3-Clause
// Functions that throw the library's Error. A message says what was found, what was expected,
// where, and how to fix it, in at most two lines.
#pragma once

#include "eqnn/error.hpp"

#include <array>
#include <charconv>
#include <exception>
#include <new>
#include <sstream>
#include <string>
#include <string_view>
#include <type_traits>

namespace eqnn {

/// Writes a part of a message. Numbers get the fewest digits that identify them: 1e-06, not
/// 9.9999999999999995e-07.
template <class Part> void write_part(std::ostream& message, const Part& part) {
  if constexpr (std::is_floating_point_v<Part>) {
    std::array<char, 32> digits{};
    const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), part).ptr;
    message << std::string_view(digits.data(), static_cast<std::size_t>(end - digits.data()));
  } else {
    message << part;
  }
}

/// Throws Error with all arguments concatenated.
template <class... Parts> [[noreturn]] void fail(const Parts&... parts) {
  std::ostringstream message;
  (write_part(message, parts), ...);
  throw Error(message.str());
}

/// Runs body. If it throws, returns the message of the exception; otherwise an empty string.
/// no_memory() returns the message for std::bad_alloc.
template <class NoMemory, class Body>
std::string failure_of(const NoMemory& no_memory, const Body& body) {
  try {
    body();
  } catch (const std::bad_alloc&) {
    return no_memory();
  } catch (const std::exception& error) {
    return error.what();
  }
  return "";
}

} // namespace eqnn
