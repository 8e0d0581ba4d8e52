// SPDX-License-Identifier: GPL-2.0-only
/* ----------------------------------------------------------------------
   LAMMPS - Large-scale Atomic/Molecular Massively Parallel Simulator
   https://www.lammps.org/, Sandia National Laboratories
   LAMMPS development team: developers@lammps.org

   This software is distributed under the GNU General Public License.
------------------------------------------------------------------------- */

#include "pair_eqnn_kokkos.h"

#include "edges_from_list.h"

#include "atom_kokkos.h"
#include "atom_masks.h"
#include "error.h"
#include "kokkos.h"
#include "memory_kokkos.h"
#include "neigh_request.h"
#include "neighbor.h"

#include <type_traits>

using namespace LAMMPS_NS;

namespace {

// what edges, exclusion and results are made from
constexpr unsigned int READ = X_MASK | F_MASK | TAG_MASK | TYPE_MASK | MASK_MASK | MOLECULE_MASK;

template <class View> auto on_host(const View &view)
{
  return Kokkos::create_mirror_view_and_copy(Kokkos::HostSpace(), view);
}

}    // namespace

template <class DeviceType> struct PairEQNNKokkos<DeviceType>::HostList {
  template <class View> using HostOf = decltype(on_host(View()));

  HostOf<typename AT::t_int_1d> atoms, counts;
  HostOf<typename AT::t_neighbors_2d> neighbors;
  std::vector<const int *> first;
};

/* ---------------------------------------------------------------------- */

template <class DeviceType>
PairEQNNKokkos<DeviceType>::PairEQNNKokkos(LAMMPS *lmp, ExecutionSpace space) :
    PairEQNN(lmp), host_list(new HostList)
{
  if (!lmp->kokkos)
    error->all(FLERR,
               "Pair style eqnn/kk: the KOKKOS package is off: start LAMMPS with '-k on', or "
               "use pair_style eqnn");
  respa_enable = 0;
  kokkosable = 1;
  reverse_comm_device = 1;
  execution_space = space;
  datamask_read = READ;
  datamask_modify = F_MASK | ENERGY_MASK | VIRIAL_MASK;
}

/* ---------------------------------------------------------------------- */

template <class DeviceType> PairEQNNKokkos<DeviceType>::~PairEQNNKokkos()
{
  if (copymode) return;
  memoryKK->destroy_kokkos(k_eatom, eatom);
  memoryKK->destroy_kokkos(k_vatom, vatom);
  eatom = nullptr;
  vatom = nullptr;
}

/* ---------------------------------------------------------------------- */

template <class DeviceType> void PairEQNNKokkos<DeviceType>::init_style()
{
  // masses, groups and types are looked at on the host

  atomKK->sync(Host, ALL_MASK);
  PairEQNN::init_style();
}

/* ----------------------------------------------------------------------
   full, whatever 'package kokkos neigh' says: that is for styles that can use either
------------------------------------------------------------------------- */

template <class DeviceType> void PairEQNNKokkos<DeviceType>::request_list()
{
  constexpr bool is_device = std::is_same_v<DeviceType, LMPDeviceType>;
  NeighRequest *const request = neighbor->add_request(this, NeighConst::REQ_FULL);
  request->set_kokkos_host(is_device ? 0 : 1);
  request->set_kokkos_device(is_device ? 1 : 0);
}

/* ---------------------------------------------------------------------- */

template <class DeviceType> NeighborRows PairEQNNKokkos<DeviceType>::rows_of_list()
{
  const auto &rows = *static_cast<NeighListKokkos<DeviceType> *>(list);
  HostList &host = *host_list;
  host.atoms = on_host(rows.d_ilist);
  host.counts = on_host(rows.d_numneigh);
  host.neighbors = on_host(rows.d_neighbors);
  host.first.assign(host.neighbors.extent(0), nullptr);
  for (std::size_t i = 0; i < host.first.size() && host.neighbors.extent(1) > 0; i++)
    host.first[i] = &host.neighbors(i, 0);
  return {list->inum, host.atoms.data(), host.counts.data(), host.first.data(),
          static_cast<std::size_t>(host.neighbors.stride(1))};
}

/* ---------------------------------------------------------------------- */

template <class DeviceType> void PairEQNNKokkos<DeviceType>::compute(int eflag_in, int vflag_in)
{
  ev_init(eflag_in, vflag_in, 0);

  if (eflag_atom) {
    if (static_cast<int>(k_eatom.extent(0)) < maxeatom) {
      memoryKK->destroy_kokkos(k_eatom, eatom);
      memoryKK->create_kokkos(k_eatom, eatom, maxeatom, "pair:eatom");
    } else Kokkos::deep_copy(k_eatom.h_view, 0.0);
  }
  if (vflag_atom) {
    if (static_cast<int>(k_vatom.extent(0)) < maxvatom) {
      memoryKK->destroy_kokkos(k_vatom, vatom);
      memoryKK->create_kokkos(k_vatom, vatom, maxvatom, "pair:vatom");
    } else Kokkos::deep_copy(k_vatom.h_view, 0.0);
  }

  atomKK->sync(Host, READ);
  compute_on_host();
  atomKK->modified(Host, F_MASK);
  atomKK->sync(execution_space, F_MASK);

  // computes read the host's, other styles and fixes the device's

  if (eflag_atom) {
    k_eatom.template modify<LMPHostType>();
    k_eatom.template sync<LMPDeviceType>();
  }
  if (vflag_atom) {
    k_vatom.template modify<LMPHostType>();
    k_vatom.template sync<LMPDeviceType>();
  }
}

/* ----------------------------------------------------------------------
   LAMMPS takes buffers from the device: the host's bytes are there before it sends or reads on
------------------------------------------------------------------------- */

template <class DeviceType>
int PairEQNNKokkos<DeviceType>::pack_forward_comm_kokkos(int n, DAT::tdual_int_1d list,
                                                         eqnn_compat::DualBuffer &buf, int, int *)
{
  list.sync<LMPHostType>();
  const int n_packed = pack_forward_comm(n, list.h_view.data(), buf.h_view.data(), 0, nullptr);
  buf.template modify<LMPHostType>();
  buf.template sync<LMPDeviceType>();
  return n_packed;
}

template <class DeviceType>
void PairEQNNKokkos<DeviceType>::unpack_forward_comm_kokkos(int n, int first,
                                                            eqnn_compat::DualBuffer &buf)
{
  buf.template sync<LMPHostType>();
  unpack_forward_comm(n, first, buf.h_view.data());
}

template <class DeviceType>
int PairEQNNKokkos<DeviceType>::pack_reverse_comm_kokkos(int n, int first,
                                                         eqnn_compat::DualBuffer &buf)
{
  const int n_packed = pack_reverse_comm(n, first, buf.h_view.data());
  buf.template modify<LMPHostType>();
  buf.template sync<LMPDeviceType>();
  return n_packed;
}

template <class DeviceType>
void PairEQNNKokkos<DeviceType>::unpack_reverse_comm_kokkos(int n, DAT::tdual_int_1d list,
                                                            eqnn_compat::DualBuffer &buf)
{
  list.sync<LMPHostType>();
  buf.template sync<LMPHostType>();
  unpack_reverse_comm(n, list.h_view.data(), buf.h_view.data());
}

namespace LAMMPS_NS {
template class PairEQNNKokkos<LMPDeviceType>;
#ifdef LMP_KOKKOS_GPU
template class PairEQNNKokkos<LMPHostType>;
#endif
}    // namespace LAMMPS_NS
