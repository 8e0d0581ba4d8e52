// SPDX-License-Identifier: GPL-2.0-only
// Kernels that pack node rows into LAMMPS's buffers on the device and unpack them, as LammpsHalo
// does on the host. LammpsHalo finds the nodes to exchange, once for each neighbor list.

#ifndef LMP_EQNN_DEVICE_HALO_H
#define LMP_EQNN_DEVICE_HALO_H

#include "lammps_halo.h"

#include "kokkos_type.h"

#include <algorithm>
#include <numeric>
#include <string>
#include <unordered_map>
#include <vector>

namespace LAMMPS_NS {

template <class DeviceType> class DeviceHalo {
 public:
  explicit DeviceHalo(const LammpsHalo &halo) : halo_(halo) {}

  // call it after each rebuild of the neighbor list
  void forget()
  {
    sent_.clear();
    received_.clear();
  }

  int pack_forward(int n, const int *atoms, double *buf) { return pack(sent(n, atoms), buf); }
  int pack_reverse(int n, int first, double *buf) { return pack(received(n, first), buf); }

  void unpack_forward(int n, int first, const double *buf)
  {
    const Nodes &nodes = received(n, first);
    if (halo_.rows_now().are_floats) set<float>(nodes, buf);
    else set<double>(nodes, buf);
  }

  void unpack_reverse(int n, const int *atoms, const double *buf)
  {
    const Nodes &nodes = sent(n, atoms);
    if (halo_.rows_now().are_floats) add<float>(nodes, buf);
    else add<double>(nodes, buf);
  }

  // ---- packing and unpacking; nvcc requires functions that contain kernels to be public ----

  using Ints = Kokkos::View<int *, DeviceType>;
  // 64 bits: a float index into the buffer can overflow an int where LAMMPS's double index does not
  using Index = std::int64_t;
  using Range = Kokkos::RangePolicy<DeviceType, Kokkos::IndexType<Index>>;

  // The node of each place in a buffer. An atom and its images are sent in several places. On the
  // way back they are added to one row, by one thread.
  struct Nodes {
    int n = 0;
    Ints node;    // [n] node of each place
    int n_targets = 0;
    Ints begin, place;    // target t: place[begin[t]] ... place[begin[t + 1] - 1]
  };

  // rows of both types start at a double; a row with an odd number of floats ends in half a double
  template <class Scalar> struct Strides {
    Index width;     // scalars in a row
    Index in_buf;    // scalars from one place to the next
  };

  template <class Scalar> Strides<Scalar> strides() const
  {
    const LammpsHalo::Rows rows = halo_.rows_now();
    return {static_cast<Index>(rows.n_bytes / sizeof(Scalar)),
            static_cast<Index>(rows.n_doubles * sizeof(double) / sizeof(Scalar))};
  }

  template <class Scalar> void get(const Nodes &nodes, double *buf) const
  {
    const Strides<Scalar> s = strides<Scalar>();
    const auto *const rows = reinterpret_cast<const Scalar *>(halo_.rows_now().data);
    auto *const to = reinterpret_cast<Scalar *>(buf);
    const Ints node = nodes.node;
    Kokkos::parallel_for(
        "eqnn::halo::pack", Range(0, nodes.n * s.in_buf), KOKKOS_LAMBDA(Index k) {
          const Index place = k / s.in_buf, c = k % s.in_buf;
          const Index row = node(place);    // -1 if the owner excludes the atom
          to[k] = c < s.width && row >= 0 ? rows[row * s.width + c] : 0;
        });
  }

  template <class Scalar> void set(const Nodes &nodes, const double *buf) const
  {
    const Strides<Scalar> s = strides<Scalar>();
    auto *const rows = reinterpret_cast<Scalar *>(halo_.rows_now().data);
    const auto *const from = reinterpret_cast<const Scalar *>(buf);
    const Ints node = nodes.node;
    Kokkos::parallel_for(
        "eqnn::halo::unpack", Range(0, nodes.n * s.width), KOKKOS_LAMBDA(Index k) {
          const Index place = k / s.width, c = k % s.width;
          rows[node(place) * s.width + c] = from[place * s.in_buf + c];
        });
  }

  template <class Scalar> void add(const Nodes &nodes, const double *buf) const
  {
    const Strides<Scalar> s = strides<Scalar>();
    auto *const rows = reinterpret_cast<Scalar *>(halo_.rows_now().data);
    const auto *const from = reinterpret_cast<const Scalar *>(buf);
    const Ints node = nodes.node, begin = nodes.begin, places = nodes.place;
    Kokkos::parallel_for(
        "eqnn::halo::add", Range(0, nodes.n_targets * s.width), KOKKOS_LAMBDA(Index k) {
          const Index target = k / s.width, c = k % s.width;
          const Index row = node(places(begin(target)));
          if (row < 0) return;
          for (int at = begin(target); at < begin(target + 1); at++)
            rows[row * s.width + c] += from[places(at) * s.in_buf + c];
        });
  }

 private:
  static Ints on_device(const std::vector<int> &values)
  {
    Ints view(Kokkos::view_alloc(std::string("eqnn::halo::nodes"), Kokkos::WithoutInitializing),
              values.size());
    Kokkos::deep_copy(view,
                      Kokkos::View<const int *, Kokkos::HostSpace>(values.data(), values.size()));
    return view;
  }

  static Nodes make(const std::vector<int> &nodes)
  {
    std::vector<int> place(nodes.size()), begin;
    std::iota(place.begin(), place.end(), 0);
    std::stable_sort(place.begin(), place.end(), [&](int a, int b) { return nodes[a] < nodes[b]; });
    for (std::size_t k = 0; k < place.size(); k++)
      if (k == 0 || nodes[place[k]] != nodes[place[k - 1]]) begin.push_back(static_cast<int>(k));
    const int n_targets = static_cast<int>(begin.size());
    begin.push_back(static_cast<int>(place.size()));
    return {static_cast<int>(nodes.size()), on_device(nodes), n_targets, on_device(begin),
            on_device(place)};
  }

  const Nodes &sent(int n, const int *atoms)
  {
    const auto found = sent_.find(atoms);
    if (found != sent_.end()) return found->second;
    return sent_[atoms] = make(halo_.nodes_sent(n, atoms));
  }

  const Nodes &received(int n, int first)
  {
    const auto found = received_.find(first);
    if (n > 0 && found != received_.end()) return found->second;
    if (n == 0) return nothing_;
    return received_[first] = make(halo_.nodes_received(n, first));
  }

  int pack(const Nodes &nodes, double *buf) const
  {
    if (halo_.rows_now().are_floats) get<float>(nodes, buf);
    else get<double>(nodes, buf);
    return nodes.n * halo_.rows_now().n_doubles;
  }

  const LammpsHalo &halo_;
  const Nodes nothing_;
  std::unordered_map<const int *, Nodes> sent_;
  std::unordered_map<int, Nodes> received_;
};

}    // namespace LAMMPS_NS

#endif
