// SPDX-License-Identifier: GPL-2.0-only
// All differences between the KOKKOS packages of the supported LAMMPS releases are handled here. As
// in lammps_compat.h, features are detected from the headers.

#ifndef LMP_EQNN_LAMMPS_COMPAT_KOKKOS_H
#define LMP_EQNN_LAMMPS_COMPAT_KOKKOS_H

#include "kokkos_base.h"
#include "kokkos_type.h"

namespace LAMMPS_NS::eqnn_compat {

// ---- communication buffers ----
// tdual_xfloat_1d, or tdual_double_1d in releases with KK_FLOAT

template <class Function> struct BufferOf;
template <class Base, class List, class Buffer>
struct BufferOf<int (Base::*)(int, List, Buffer &, int, int *)> {
  using type = Buffer;
};
using DualBuffer = BufferOf<decltype(&KokkosBase::pack_forward_comm_kokkos)>::type;

// ---- per-atom results ----
// doubles in every release, for any KK_FLOAT

using DualEnergies = Kokkos::DualView<double *, LMPDeviceType::array_layout, LMPDeviceType>;
using DualVirials = Kokkos::DualView<double *[6], Kokkos::LayoutRight, LMPDeviceType>;

}    // namespace LAMMPS_NS::eqnn_compat

#endif
