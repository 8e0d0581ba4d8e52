// SPDX-License-Identifier: GPL-2.0-only
// All differences between the supported LAMMPS releases are handled here: 29 Aug 2024, 4 Feb 2025,
// 22 Jul 2025. Features are detected from the headers, because distributions patch them.
// EQNN_LAMMPS_RELEASE (for example 20250722) decides only if the headers cannot tell.

#ifndef LMP_EQNN_LAMMPS_COMPAT_H
#define LMP_EQNN_LAMMPS_COMPAT_H

#include "comm.h"
#include "pair.h"

#include <type_traits>
#include <utility>

namespace LAMMPS_NS::eqnn_compat {

// ---- widths of the rows that a pair style exchanges ----
// Since 4 Feb 2025 the width is an argument. Before, LAMMPS reads it at each call from the pair
// style that it is given, also under hybrid (comm_brick.cpp, comm_tiled.cpp). Its buffers are sized
// for the largest width of force->pair.

template <class C, class = void> struct HasWidth : std::false_type {};
template <class C>
struct HasWidth<
    C, std::void_t<decltype(std::declval<C &>().forward_comm(static_cast<Pair *>(nullptr), 1))>> :
    std::true_type {};

// Sets an int, and restores it at the end of the scope.
class Lent {
 public:
  Lent(int &member, int value) : member_(member), before_(member) { member_ = value; }
  ~Lent() { member_ = before_; }
  Lent(const Lent &) = delete;
  Lent &operator=(const Lent &) = delete;

 private:
  int &member_;
  int before_;
};

template <class C> void forward_comm(C &comm, Pair &pair, int width)
{
  if constexpr (HasWidth<C>::value) comm.forward_comm(&pair, width);
  else {
    const Lent lent(pair.comm_forward, width);
    comm.forward_comm(&pair);
  }
}

template <class C> void reverse_comm(C &comm, Pair &pair, int width)
{
  if constexpr (HasWidth<C>::value) comm.reverse_comm(&pair, width);
  else {
    const Lent lent(pair.comm_reverse, width);
    comm.reverse_comm(&pair);
  }
}

}    // namespace LAMMPS_NS::eqnn_compat

#endif
