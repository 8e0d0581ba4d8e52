// SPDX-License-Identifier: BSD-3-Clause
#pragma once

namespace eqnn {

/// Returns freed pages to the system. Call it after work that allocates and frees much memory,
/// because glibc otherwise keeps it. After cutting a model of 89 elements to two, it kept ten times
/// as much as the two need.
void return_free_memory();

} // namespace eqnn
