// SPDX-License-Identifier: BSD-3-Clause
#include "base/free_memory.hpp"

#include <cstdlib> // defines __GLIBC__

#ifdef __GLIBC__
#include <malloc.h>
#endif

namespace eqnn {

void return_free_memory() {
#ifdef __GLIBC__
  (void)malloc_trim(0);
#endif
}

} // namespace eqnn
