// SPDX-License-Identifier: GPL-2.0-only
// The only place for differences between the KOKKOS packages of the LAMMPS releases that the pair
// style compiles against. As in lammps_compat.h, features are detected from the headers.

#ifndef LMP_EQNN_LAMMPS_COMPAT_KOKKOS_H
#define LMP_EQNN_LAMMPS_COMPAT_KOKKOS_H

#include "kokkos_base.h"
#include "kokkos_type.h"

namespace LAMMPS_NS::eqnn_compat {

// ---- buffers of communication ----
// tdual_xfloat_1d, or tdual_double_1d since LAMMPS has KK_FLOAT

template <class Function> struct BufferOf;
template <class Base, class List, class Buffer>
struct BufferOf<int (Base::*)(int, List, Buffer &, int, int *)> {
  using type = Buffer;
};
using DualBuffer = BufferOf<decltype(&KokkosBase::pack_forward_comm_kokkos)>::type;

// ---- results of each atom ----
// doubles in every release, whatever KK_FLOAT is

using DualEnergies = Kokkos::DualView<double *, LMPDeviceType::array_layout, LMPDeviceType>;
using DualVirials = Kokkos::DualView<double *[6], Kokkos::LayoutRight, LMPDeviceType>;

}    // namespace LAMMPS_NS::eqnn_compat

#endif
