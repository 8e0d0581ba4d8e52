// SPDX-License-Identifier: BSD-3-Clause
// Turns the network's energies into energies of atoms, and edge gradients into forces and virials,
// on the device that holds them. engine/energies.hpp and engine/fold_edges.hpp define these
// quantities. No atomics; the order of sums does not depend on the number of threads.
#pragma once

#include "kernels/any_evaluator.hpp"
#include "kernels/edge_tiles.hpp"
#include "kernels/workspace.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace eqnn::kernels {

template <class S> class DeviceFold {
public:
  /// Allocates everything wanted for these edges; the rest of a step allocates nothing.
  void reserve_for(const DeviceEdges<S>& edges, std::size_t n_species, Wanted wanted) {
    scale_.reserve_for(kScale, n_species);
    offset_.reserve_for(kOffset, n_species);
    const std::int64_t n_nodes = edges.n_nodes;
    reserve(forces_, "eqnn::forces", wanted.forces ? 3 * n_nodes : 0);
    reserve(virials_, "eqnn::atom_virial", wanted.atom_virial ? 9 * n_nodes : 0);
    reserve(sums_, "eqnn::fold::sums", kSums * (n_blocks_of(edges) + 1));
  }

  /// Replaces energy [n_centers] by the energies of atoms and sets seed to dE/de_i.
  void energies(const typename S::Exec& space,
                const DeviceEdges<S>& edges,
                const EnergyOfAtoms& meaning,
                const Array<S, double>& energy,
                const Array<S, double>& seed) {
    const auto scale = scale_.bring(space, kScale, meaning.scale);
    const auto offset = offset_.bring(space, kOffset, meaning.offset);
    const bool isolated_are_zero = meaning.isolated_atoms_are_zero;
    const double factor = meaning.factor;
    Kokkos::parallel_for(
        "eqnn::fold::energies",
        typename S::Range(space, 0, edges.n_centers),
        KOKKOS_LAMBDA(std::int64_t i) {
          const bool zeroed = isolated_are_zero && edges.begin(i) == edges.begin(i + 1);
          const std::int32_t species = edges.species(i);
          seed(i) = zeroed ? 0.0 : factor * scale(species);
          energy(i) = (zeroed ? 0.0 : seed(i) * energy(i)) + offset(species);
        });
  }

  /// How many of the first n numbers are not finite.
  static std::int64_t
  count_bad(const typename S::Exec& space, const Array<S, double>& numbers, std::int64_t n) {
    std::int64_t n_bad = 0;
    Kokkos::parallel_reduce(
        "eqnn::fold::count_bad",
        typename S::Range(space, 0, n),
        KOKKOS_LAMBDA(std::int64_t k, std::int64_t& bad) {
          bad += Kokkos::isfinite(numbers(k)) ? 0 : 1;
        },
        n_bad);
    return n_bad;
  }

  /// Forces and atom virials, as far as wanted: what centers get from their edges, and zeros for
  /// ghosts.
  void fold_centers(const typename S::Exec& space,
                    const DeviceEdges<S>& edges,
                    const Array<S, double>& gradient,
                    Wanted wanted) const {
    const auto forces = forces_;
    const auto virials = virials_;
    Kokkos::parallel_for(
        "eqnn::fold::centers",
        typename S::Range(space, 0, edges.n_nodes),
        KOKKOS_LAMBDA(std::int64_t i) {
          const bool is_center = i < edges.n_centers;
          const std::int64_t begin = is_center ? edges.begin(i) : 0;
          const std::int64_t end = is_center ? edges.begin(i + 1) : 0;
          for (int a = 0; a < 3; ++a) {
            if (wanted.forces) {
              double sum = 0.0;
              for (std::int64_t e = begin; e < end; ++e) {
                sum += gradient(3 * e + a);
              }
              forces(3 * i + a) = sum;
            }
            for (int b = 0; b < 3 && wanted.atom_virial; ++b) {
              double sum = 0.0;
              for (std::int64_t e = begin; e < end; ++e) {
                sum -= 0.5 * edges.vector(3 * e + a) * gradient(3 * e + b);
              }
              virials(9 * i + 3 * a + b) = sum;
            }
          }
        });
  }

  /// Adds what sources get; one thread owns a source. segments: of a chunk; null: one thread takes
  /// all edges.
  void fold_sources(const typename S::Exec& space,
                    const DeviceEdges<S>& edges,
                    const Array<S, double>& gradient,
                    const SourceSegments<S>* segments,
                    Wanted wanted) const {
    const auto forces = forces_;
    const auto virials = virials_;
    const SourceSegments<S> of = segments == nullptr ? SourceSegments<S>{} : *segments;
    const bool is_alone = segments == nullptr;
    const std::int64_t n = is_alone ? 1 : of.n_segments;
    Kokkos::parallel_for(
        "eqnn::fold::sources", typename S::Range(space, 0, n), KOKKOS_LAMBDA(std::int64_t k) {
          const std::int64_t s = of.first_segment + k;
          const std::int64_t begin = is_alone ? 0 : of.begin(s);
          const std::int64_t end = is_alone ? edges.n_edges : of.begin(s + 1);
          for (std::int64_t at = begin; at < end; ++at) {
            const std::int64_t e = is_alone ? at : of.edge(at);
            const std::int64_t j = edges.source(e);
            for (int a = 0; a < 3; ++a) {
              if (wanted.forces) {
                forces(3 * j + a) -= gradient(3 * e + a);
              }
              for (int b = 0; b < 3 && wanted.atom_virial; ++b) {
                virials(9 * j + 3 * a + b) -= 0.5 * edges.vector(3 * e + a) * gradient(3 * e + b);
              }
            }
          }
        });
  }

  /// The energy and, if wanted, the virial: sums within blocks of centers, then over blocks.
  void sum(const typename S::Exec& space,
           const DeviceEdges<S>& edges,
           const Array<S, double>& energy,
           const Array<S, double>& gradient,
           Wanted wanted,
           ResultsOnDevice& results) {
    const std::int64_t n_centers = edges.n_centers;
    const std::int64_t n_blocks = n_blocks_of(edges);
    const auto sums = sums_;
    const bool with_virial = wanted.virial;
    Kokkos::parallel_for(
        "eqnn::fold::blocks",
        typename S::Range(space, 0, kSums * n_blocks),
        KOKKOS_LAMBDA(std::int64_t k) {
          const std::int64_t first = k / kSums * kBlock;
          const std::int64_t last = first + kBlock < n_centers ? first + kBlock : n_centers;
          const int entry = static_cast<int>(k % kSums);
          double total = 0.0;
          if (entry == 9) {
            for (std::int64_t i = first; i < last; ++i) {
              total += energy(i);
            }
          } else if (with_virial) {
            for (std::int64_t e = edges.begin(first); e < edges.begin(last); ++e) {
              total -= edges.vector(3 * e + entry / 3) * gradient(3 * e + entry % 3);
            }
          }
          sums(kSums + k) = total;
        });
    Kokkos::parallel_for(
        "eqnn::fold::sum", typename S::Range(space, 0, kSums), KOKKOS_LAMBDA(std::int64_t entry) {
          double total = 0.0;
          for (std::int64_t block = 1; block <= n_blocks; ++block) {
            total += sums(kSums * block + entry);
          }
          sums(entry) = total;
        });
    std::array<double, kSums> host{};
    Kokkos::deep_copy(space,
                      Kokkos::View<double*, Kokkos::HostSpace>(host.data(), host.size()),
                      Kokkos::subview(sums_, std::make_pair(0, kSums)));
    space.fence("eqnn::fold::sum");
    results.energy = host[9];
    std::copy_n(host.begin(), 9, results.virial.begin());
    results.atom_energy = energy.data();
    results.forces = wanted.forces ? forces_.data() : nullptr;
    results.atom_virial = wanted.atom_virial ? virials_.data() : nullptr;
  }

  /// [n_nodes, 3] and [n_nodes, 9], with room to spare
  const Array<S, double>& forces() const { return forces_; }

  const Array<S, double>& atom_virials() const { return virials_; }

  std::size_t bytes() const {
    return scale_.bytes() + offset_.bytes() + bytes_of(forces_) + bytes_of(virials_) +
           bytes_of(sums_);
  }

private:
  static constexpr const char* kScale = "eqnn::energy_scale";
  static constexpr const char* kOffset = "eqnn::energy_offset";
  static constexpr std::int64_t kBlock = 64; ///< centers per block
  static constexpr int kSums = 10;           ///< nine for the virial, then the energy

  static std::int64_t n_blocks_of(const DeviceEdges<S>& edges) {
    return (std::int64_t{edges.n_centers} + kBlock - 1) / kBlock;
  }

  Mirror<S, double> scale_, offset_;
  Array<S, double> forces_, virials_, sums_;
};

} // namespace eqnn::kernels
