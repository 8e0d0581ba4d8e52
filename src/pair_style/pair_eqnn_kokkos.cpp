// SPDX-License-Identifier: GPL-2.0-only
/* ----------------------------------------------------------------------
   LAMMPS - Large-scale Atomic/Molecular Massively Parallel Simulator
   https://www.lammps.org/, Sandia National Laboratories
   LAMMPS development team: developers@lammps.org

   This software is distributed under the GNU General Public License.
------------------------------------------------------------------------- */

#include "pair_eqnn_kokkos.h"

#include "device_halo.h"
#include "pair_eqnn_impl.h"

#include "base/error.hpp"

#include "atom_kokkos.h"
#include "atom_masks.h"
#include "comm.h"
#include "error.h"
#include "force.h"
#include "kokkos.h"
#include "memory_kokkos.h"
#include "neigh_request.h"
#include "neighbor.h"
#include "update.h"

#include <string>
#include <type_traits>

using namespace LAMMPS_NS;

namespace {

// the atom data that edges, exclusion and results depend on
constexpr unsigned int KINDS = TAG_MASK | TYPE_MASK | MASK_MASK | MOLECULE_MASK;
constexpr unsigned int READ = X_MASK | F_MASK | KINDS;

template <class View> auto on_host(const View &view)
{
  return Kokkos::create_mirror_view_and_copy(Kokkos::HostSpace(), view);
}

// Sets host and device copies to zero, and marks them as in sync.
template <class DualView> void clear(DualView &both)
{
  both.clear_sync_state();
  Kokkos::deep_copy(both.h_view, 0.0);
  Kokkos::deep_copy(both.d_view, 0.0);
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
    PairEQNN(lmp), device_halo(new DeviceHalo<DeviceType>(impl->halo)), host_list(new HostList)
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
  // masses, groups and types are checked on the host

  atomKK->sync(Host, ALL_MASK);
  PairEQNN::init_style();
}

/* ----------------------------------------------------------------------
   A full list, whatever 'package kokkos neigh' says: that option is for styles that can use either.
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
    } else clear(k_eatom);
  }
  if (vflag_atom) {
    if (static_cast<int>(k_vatom.extent(0)) < maxvatom) {
      memoryKK->destroy_kokkos(k_vatom, vatom);
      memoryKK->create_kokkos(k_vatom, vatom, maxvatom, "pair:vatom");
    } else clear(k_vatom);
  }

  if (is_device_able()) compute_on_device();
  else {
    impl->has_nodes = false;
    impl->halo.take_rows_on_device(false);
    impl->halo.set_explanation(nullptr);
    atomKK->sync(Host, READ);
    compute_on_host();
    atomKK->modified(Host, F_MASK);
    atomKK->sync(execution_space, F_MASK);
    if (eflag_atom) k_eatom.template modify<LMPHostType>();
    if (vflag_atom) k_vatom.template modify<LMPHostType>();
  }

  // computes read the host's copy, other styles and fixes the device's

  if (eflag_atom) {
    k_eatom.template sync<LMPHostType>();
    k_eatom.template sync<LMPDeviceType>();
  }
  if (vflag_atom) {
    k_vatom.template sync<LMPHostType>();
    k_vatom.template sync<LMPDeviceType>();
  }
}

/* ---------------------------------------------------------------------- */

template <class DeviceType> bool PairEQNNKokkos<DeviceType>::is_device_able() const
{
  constexpr bool are_doubles = std::is_same_v<typename AT::t_x_array::non_const_value_type, double>;
  return are_doubles && !impl->settings.check_edges &&
         impl->loaded->model.forces() != eqnn::ForceKind::Direct;
}

/* ---------------------------------------------------------------------- */

template <class DeviceType> void PairEQNNKokkos<DeviceType>::compute_on_device()
{
  atomKK->sync(Host, KINDS);
  atomKK->sync(execution_space, X_MASK | F_MASK | TYPE_MASK);
  const bool is_new_list = look_at_list();
  if (is_new_list || !impl->has_nodes || are_types_changed_there()) make_nodes_there();

  impl->halo.take_rows_on_device(is_host_device() || has_device_callbacks());
  impl->halo.set_explanation([this](const std::string &failure) {
    atomKK->sync(Host, READ);
    return explain(failure);
  });
  const eqnn::NeighborsOnDevice list_on_device = neighbors_there();
  DeviceType().fence();
  try {
    const eqnn::ResultsOnDevice &found =
        impl->loaded->potential->evaluate(list_on_device, impl->halo, wanted());
    if (!impl->memory_reported) report_memory();
    if (force->newton_pair == 0) {
      bring_home(found.forces, 3);
      if (vflag_atom) bring_home(found.atom_virial, Impl::VIRIAL_WIDTH);
    }
    add_to_atoms(found);
  } catch (const eqnn::Error &failure_of_all) {
    impl->has_nodes = false;
    error->all(FLERR, "Pair style eqnn, step {}: {}", update->ntimestep, failure_of_all.what());
  }
}

/* ----------------------------------------------------------------------
   Whether LAMMPS's buffers are on the device in both directions. comm_style tiled has none there.
------------------------------------------------------------------------- */

template <class DeviceType> bool PairEQNNKokkos<DeviceType>::has_device_callbacks() const
{
  return execution_space == Device && comm->style == Comm::BRICK &&
         !lmp->kokkos->forward_pair_comm_classic && !lmp->kokkos->reverse_pair_comm_classic;
}

template <class DeviceType> bool PairEQNNKokkos<DeviceType>::is_host_device() const
{
  return Kokkos::SpaceAccessibility<Kokkos::HostSpace,
                                    typename DeviceType::memory_space>::accessible;
}

// whether the current exchange packs and unpacks rows on the device; otherwise on the host
template <class DeviceType> bool PairEQNNKokkos<DeviceType>::is_by_kernels() const
{
  return impl->halo.takes_rows_on_device() && impl->halo.rows_now().data;
}

/* ----------------------------------------------------------------------
   The neighbors of this step. Species are updated, because types can change without a new list (fix
   atom/swap).
------------------------------------------------------------------------- */

template <class DeviceType> eqnn::NeighborsOnDevice PairEQNNKokkos<DeviceType>::neighbors_there()
{
  const auto type = atomKK->k_type.template view<DeviceType>();
  const auto atom_of_node = d_atom_of_node;
  const auto species = d_species;
  const auto species_of_type = d_species_of_type;
  Kokkos::parallel_for(
      "eqnn::pair::species",
      Kokkos::RangePolicy<DeviceType>(0, static_cast<int>(d_species.extent(0))),
      KOKKOS_LAMBDA(int node) { species(node) = species_of_type(type(atom_of_node(node))); });

  const auto strides = [](const auto &view) {
    return eqnn::Strides{static_cast<std::int64_t>(view.stride(0)),
                         static_cast<std::int64_t>(view.stride(1))};
  };
  const auto &rows = *static_cast<NeighListKokkos<DeviceType> *>(list);
  const auto x = atomKK->k_x.template view<DeviceType>();
  eqnn::NeighborsOnDevice found;
  found.n_centers = impl->edges.edges().n_centers;
  found.n_nodes = impl->edges.edges().n_nodes;
  found.species = d_species.data();
  found.atom_of_node = d_atom_of_node.data();
  found.node_of_atom = d_node_of_atom.data();
  if constexpr (std::is_same_v<typename AT::t_x_array::non_const_value_type, double>)
    found.positions = x.data();
  found.position_strides = strides(x);
  found.counts = rows.d_numneigh.data();
  found.neighbors = rows.d_neighbors.data();
  found.neighbor_strides = strides(rows.d_neighbors);
  found.neighbor_mask = NEIGHMASK;
  found.cutoff = impl->loaded->model.cutoff();
  return found;
}

/* ----------------------------------------------------------------------
   Collective. Whether types of atoms changed between mapped and NULL on any rank.
------------------------------------------------------------------------- */

template <class DeviceType> bool PairEQNNKokkos<DeviceType>::are_types_changed_there() const
{
  const auto type = atomKK->k_type.template view<DeviceType>();
  const auto is_mapped = d_is_mapped;
  const auto species_of_type = d_species_of_type;
  int n_changed = 0;
  Kokkos::parallel_reduce(
      "eqnn::pair::types",
      Kokkos::RangePolicy<DeviceType>(0, static_cast<int>(d_is_mapped.extent(0))),
      KOKKOS_LAMBDA(int i, int &sum) {
        sum += (species_of_type(type(i)) >= 0 ? 1 : 0) == is_mapped(i) ? 0 : 1;
      },
      n_changed);
  if (comm->nprocs > 1) MPI_Allreduce(MPI_IN_PLACE, &n_changed, 1, MPI_INT, MPI_MAX, world);
  return n_changed > 0;
}

/* ----------------------------------------------------------------------
   [nlocal + nghost] 1 for the neighbors of this rank's atoms. The skin is included, so that nodes
   stay the same until the list is rebuilt.
------------------------------------------------------------------------- */

template <class DeviceType>
std::vector<char> PairEQNNKokkos<DeviceType>::mark_neighbors_there() const
{
  const auto &rows = *static_cast<NeighListKokkos<DeviceType> *>(list);
  const auto atoms = rows.d_ilist;
  const auto counts = rows.d_numneigh;
  const auto neighbors = rows.d_neighbors;
  const auto type = atomKK->k_type.template view<DeviceType>();
  const auto species_of_type = d_species_of_type;
  const int n_all = atom->nlocal + atom->nghost;
  const Kokkos::View<char *, DeviceType> marked("eqnn::pair::marked", n_all);
  Kokkos::parallel_for(
      "eqnn::pair::mark", Kokkos::RangePolicy<DeviceType>(0, list->inum), KOKKOS_LAMBDA(int row) {
        const int i = atoms(row);
        if (species_of_type(type(i)) < 0) return;
        for (int k = 0; k < counts(i); k++) marked(neighbors(i, k) & NEIGHMASK) = 1;
      });
  std::vector<char> found(n_all);
  Kokkos::deep_copy(Kokkos::View<char *, Kokkos::HostSpace>(found.data(), found.size()), marked);
  return found;
}

/* ---------------------------------------------------------------------- */

template <class DeviceType> void PairEQNNKokkos<DeviceType>::make_nodes_there()
{
  const auto to_device = [](Ints &view, const char *label, const std::vector<int> &values) {
    if (view.extent(0) != values.size())
      view =
          Ints(Kokkos::view_alloc(std::string(label), Kokkos::WithoutInitializing), values.size());
    Kokkos::deep_copy(view,
                      Kokkos::View<const int *, Kokkos::HostSpace>(values.data(), values.size()));
  };
  to_device(d_species_of_type, "eqnn::pair::species_of_type", impl->loaded->species_of_type);

  const auto atoms = on_host(static_cast<NeighListKokkos<DeviceType> *>(list)->d_ilist);
  make_nodes(mark_neighbors_there(), atoms.data(), list->inum);
  device_halo->forget();
  to_device(d_node_of_atom, "eqnn::pair::node_of_atom", impl->node_of_atom);
  to_device(d_is_mapped, "eqnn::pair::is_mapped", impl->is_mapped);
  to_device(d_atom_of_node, "eqnn::pair::atom_of_node", impl->edges.atom_of_node());
  to_device(d_species, "eqnn::pair::species", impl->edges.edges().species);
}

/* ---------------------------------------------------------------------- */

template <class DeviceType> void PairEQNNKokkos<DeviceType>::bring_home(double *rows, int width)
{
  if (!impl->halo.exchanges()) return;
  if (impl->halo.takes_rows_on_device()) {
    impl->halo.reverse(eqnn::NodeRows<double>{rows, width});
    return;
  }
  const Kokkos::View<double *, DeviceType> device(rows, static_cast<std::size_t>(width) *
                                                            impl->edges.edges().n_nodes);
  const auto host = on_host(device);
  impl->halo.reverse(eqnn::NodeRows<double>{host.data(), width});
  Kokkos::deep_copy(device, host);
}

/* ----------------------------------------------------------------------
   Nodes are different atoms, so each atom is added to only once. With newton off, ghosts get no
   results.
------------------------------------------------------------------------- */

template <class DeviceType>
void PairEQNNKokkos<DeviceType>::add_to_atoms(const eqnn::ResultsOnDevice &found)
{
  const double unit = impl->energy_unit;
  const int n_centers = impl->edges.edges().n_centers;
  const int n_nodes = force->newton_pair ? impl->edges.edges().n_nodes : n_centers;
  const auto atom_of_node = d_atom_of_node;
  const Kokkos::RangePolicy<DeviceType> nodes(0, n_nodes);

  const auto f = atomKK->k_f.template view<DeviceType>();
  const double *const forces = found.forces;
  Kokkos::parallel_for(
      "eqnn::pair::forces", nodes, KOKKOS_LAMBDA(int node) {
        for (int d = 0; d < 3; d++) f(atom_of_node(node), d) += unit * forces[3 * node + d];
      });

  if (eflag_global) eng_vdwl += unit * found.energy;
  if (eflag_atom) {
    const auto energies = k_eatom.d_view;
    const double *const from = found.atom_energy;
    Kokkos::parallel_for(
        "eqnn::pair::energies", Kokkos::RangePolicy<DeviceType>(0, n_centers),
        KOKKOS_LAMBDA(int node) { energies(atom_of_node(node)) += unit * from[node]; });
    k_eatom.template modify<LMPDeviceType>();
  }

  // LAMMPS stores only the symmetric part: xx yy zz xy xz yz

  if (vflag_global) {
    const auto &v = found.virial;
    const double symmetric[6] = {
        v[0], v[4], v[8], 0.5 * (v[1] + v[3]), 0.5 * (v[2] + v[6]), 0.5 * (v[5] + v[7])};
    for (int k = 0; k < 6; k++) virial[k] += unit * symmetric[k];
  }
  if (vflag_atom) {
    const auto virials = k_vatom.d_view;
    const double *const from = found.atom_virial;
    Kokkos::parallel_for(
        "eqnn::pair::virials", nodes, KOKKOS_LAMBDA(int node) {
          const double *const v = from + 9 * node;
          const int i = atom_of_node(node);
          for (int d = 0; d < 3; d++) virials(i, d) += unit * v[4 * d];
          virials(i, 3) += 0.5 * unit * (v[1] + v[3]);
          virials(i, 4) += 0.5 * unit * (v[2] + v[6]);
          virials(i, 5) += 0.5 * unit * (v[5] + v[7]);
        });
    k_vatom.template modify<LMPDeviceType>();
  }
  DeviceType().fence();
}

/* ----------------------------------------------------------------------
   Packing and unpacking with LAMMPS's buffers on the device. LAMMPS fences after each call, and
   copies the buffer to the host if MPI needs it there. Rows packed on the host are copied to the
   device first.
------------------------------------------------------------------------- */

template <class DeviceType>
int PairEQNNKokkos<DeviceType>::pack_forward_comm_kokkos(int n, DAT::tdual_int_1d list,
                                                         eqnn_compat::DualBuffer &buf, int, int *)
{
  if (is_by_kernels())
    return device_halo->pack_forward(n, list.h_view.data(), buf.template view<DeviceType>().data());
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
  if (is_by_kernels()) {
    device_halo->unpack_forward(n, first, buf.template view<DeviceType>().data());
    return;
  }
  buf.template sync<LMPHostType>();
  unpack_forward_comm(n, first, buf.h_view.data());
}

template <class DeviceType>
int PairEQNNKokkos<DeviceType>::pack_reverse_comm_kokkos(int n, int first,
                                                         eqnn_compat::DualBuffer &buf)
{
  if (is_by_kernels())
    return device_halo->pack_reverse(n, first, buf.template view<DeviceType>().data());
  const int n_packed = pack_reverse_comm(n, first, buf.h_view.data());
  buf.template modify<LMPHostType>();
  buf.template sync<LMPDeviceType>();
  return n_packed;
}

template <class DeviceType>
void PairEQNNKokkos<DeviceType>::unpack_reverse_comm_kokkos(int n, DAT::tdual_int_1d list,
                                                            eqnn_compat::DualBuffer &buf)
{
  if (is_by_kernels()) {
    device_halo->unpack_reverse(n, list.h_view.data(), buf.template view<DeviceType>().data());
    return;
  }
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
