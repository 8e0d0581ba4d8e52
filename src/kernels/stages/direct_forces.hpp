// SPDX-License-Identifier: BSD-3-Clause
// The l = 1 components of a single channel are the forces (x, y, z) in e3nn's axes.
#pragma once

#include "kernels/context.hpp"
#include "plan/stages/direct_forces.hpp"

namespace eqnn::kernels {

template <class S> struct DirectForcesStage {
  using Scalar = typename S::Scalar;

  plan::DirectForces op;

  DirectForcesStage(const plan::DirectForces& host, DeviceTables<S>&)
      : op(host) {}

  std::int32_t message_width(const DeviceTables<S>&) const { return 0; }

  void forward(const Context<S>& at) const {
    const Rows<Scalar> forces = at.value(op.in);
    const auto n = static_cast<std::size_t>(at.n_centers());
    std::vector<double>& out = at.direct_forces();
    out.resize(3 * n);
    Kokkos::View<const Scalar*, typename S::Memory> device(
        forces.data, n * static_cast<std::size_t>(forces.width()));
    const auto host = Kokkos::create_mirror_view_and_copy(Kokkos::HostSpace(), device);
    for (std::size_t i = 0; i < n; ++i) {
      for (std::size_t a = 0; a < 3; ++a) {
        const std::size_t from = i * static_cast<std::size_t>(forces.width()) +
                                 (1 + a) * static_cast<std::size_t>(forces.stride);
        out[3 * i + a] = static_cast<double>(host(from));
      }
    }
  }

  void adjoint(const Context<S>&) const {}
};

} // namespace eqnn::kernels
