// SPDX-License-Identifier: BSD-3-Clause
#pragma once

namespace eqnn {

/// Returns freed pages to the system, after work that allocates and frees much memory. glibc keeps
/// them otherwise: after a model of 89 elements was cut to two, ten times as much as the two need.
void return_free_memory();

} // namespace eqnn
