// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <vector>

namespace eqnn {

/// Frees a vector's memory, which clear() and `= {}` keep.
template <class T> void release(std::vector<T>& vector) { std::vector<T>().swap(vector); }

} // namespace eqnn
