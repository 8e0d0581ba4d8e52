// SPDX-License-Identifier: GPL-2.0-only
/* -*- c++ -*- ----------------------------------------------------------
   LAMMPS - Large-scale Atomic/Molecular Massively Parallel Simulator
   https://www.lammps.org/, Sandia National Laboratories
   LAMMPS development team: developers@lammps.org

   This software is distributed under the GNU General Public License.
------------------------------------------------------------------------- */

#ifdef PAIR_CLASS
// clang-format off
PairStyle(eqnn/kk,PairEQNNKokkos<LMPDeviceType>);
PairStyle(eqnn/kk/device,PairEQNNKokkos<LMPDeviceType>);
PairStyle(eqnn/kk/host,PairEQNNKokkos<LMPHostType>);
// clang-format on
#else

#ifndef LMP_PAIR_EQNN_KOKKOS_H
#define LMP_PAIR_EQNN_KOKKOS_H

#include "lammps_compat_kokkos.h"
#include "pair_eqnn.h"

#include "kokkos_base.h"
#include "kokkos_type.h"
#include "neigh_list_kokkos.h"

#include "eqnn/on_device.hpp"

#include <memory>
#include <vector>

namespace LAMMPS_NS {

template <class DeviceType> class DeviceHalo;

// The pair style for the KOKKOS package. On the device, edges are made from LAMMPS's neighbor list,
// and forces, energies and virials are accumulated. Rules, keywords, warnings and energies are the
// same as for eqnn. The host does this for models with direct forces, with check_edges, and if
// LAMMPS's positions are not doubles.
template <class DeviceType> class PairEQNNKokkos : public PairEQNN, public KokkosBase {
 public:
  using device_type = DeviceType;
  using AT = ArrayTypes<DeviceType>;

  // space: where LAMMPS expects the results. If the host is the device, LAMMPS also chooses the
  // callbacks of the halo exchange by it.
  PairEQNNKokkos(class LAMMPS *, ExecutionSpace space);
  ~PairEQNNKokkos() override;

  void init_style() override;
  void compute(int, int) override;

  int pack_forward_comm_kokkos(int, DAT::tdual_int_1d, eqnn_compat::DualBuffer &, int,
                               int *) override;
  void unpack_forward_comm_kokkos(int, int, eqnn_compat::DualBuffer &) override;
  int pack_reverse_comm_kokkos(int, int, eqnn_compat::DualBuffer &) override;
  void unpack_reverse_comm_kokkos(int, DAT::tdual_int_1d, eqnn_compat::DualBuffer &) override;

  // parts of a step; nvcc requires functions that contain kernels to be public

  bool are_types_changed_there() const;
  eqnn::NeighborsOnDevice neighbors_there();
  std::vector<char> mark_neighbors_there() const;
  void add_to_atoms(const eqnn::ResultsOnDevice &);

 protected:
  void request_list() override;
  NeighborRows rows_of_list() override;
  bool makes_edges_there() const override { return false; }    // compute() decides

 private:
  eqnn_compat::DualEnergies k_eatom;
  eqnn_compat::DualVirials k_vatom;

  // nodes, valid until the list is rebuilt

  using Ints = Kokkos::View<int *, DeviceType>;
  Ints d_node_of_atom, d_atom_of_node, d_species, d_species_of_type, d_is_mapped;

  void compute_on_device();
  bool is_device_able() const;
  bool has_device_callbacks() const;
  bool is_host_device() const;
  bool is_by_kernels() const;
  void make_nodes_there();
  void bring_home(double *rows, int width);

  std::unique_ptr<DeviceHalo<DeviceType>> device_halo;

  // the list on the host; if the host is the device, the list itself

  struct HostList;
  std::unique_ptr<HostList> host_list;
};

}    // namespace LAMMPS_NS

#endif
#endif
