// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <vector>

namespace eqnn {

/// Frees the memory of a vector. clear() and `= {}` would keep it.
template <class T> void release(std::vector<T>& vector) { std::vector<T>().swap(vector); }

} // namespace eqnn
