// SPDX-License-Identifier: BSD-3-Clause
#pragma once

namespace eqnn {

/// Gives pages of freed memory back to the system, after what takes and frees much of it. glibc keeps
/// them: after a model of 89 elements was cut to two, ten times what the two take.
void return_free_memory();

} // namespace eqnn
