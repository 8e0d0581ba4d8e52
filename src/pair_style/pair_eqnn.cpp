// SPDX-License-Identifier: GPL-2.0-only
/* ----------------------------------------------------------------------
   LAMMPS - Large-scale Atomic/Molecular Massively Parallel Simulator
   https://www.lammps.org/, Sandia National Laboratories
   LAMMPS development team: developers@lammps.org

   This software is distributed under the GNU General Public License.
------------------------------------------------------------------------- */

#include "pair_eqnn.h"

#include "edges_from_list.h"
#include "lammps_halo.h"
#include "type_map.h"

#include "base/error.hpp"
#include "base/version.hpp"
#include "kernels/potential.hpp"
#include "model/energy_semantics.hpp"
#include "model/model_file.hpp"
#include "self_test/self_test.hpp"

#include "atom.h"
#include "comm.h"
#include "error.h"
#include "force.h"
#include "memory.h"
#include "neigh_list.h"
#include "neighbor.h"
#include "update.h"
#include "utils.h"

#include <algorithm>
#include <cstring>
#include <fstream>
#include <limits>
#include <memory>
#include <new>
#include <optional>

using namespace LAMMPS_NS;

/* ---------------------------------------------------------------------- */

struct PairEQNN::Impl {
  explicit Impl(Pair *pair) : halo(pair, edges.node_of_atom()) {}

  // pair_style

  eqnn::PotentialOptions options;
  bool allow_mean_per_atom = false;
  bool allow_direct_forces = false;
  bool self_test = true;
  bool memory_reported = false;

  // pair_coeff

  std::optional<eqnn::ModelSpec> model;
  std::unique_ptr<eqnn::Potential> potential;
  std::vector<int> species_of_type;    // [ntypes + 1], -1 for NULL
  double energy_unit = 1.0;            // 1 eV in LAMMPS's unit; both unit styles have Angstrom

  // one step

  EdgesFromList edges;
  LammpsHalo halo;
  eqnn::Outputs outputs;
  std::vector<double> node_forces;    // [n_nodes, 3] eV/Angstrom
  double virial[9] = {};              // eV

  bool has_direct_forces() const { return model->forces == eqnn::ForceKind::Direct; }
  bool is_mean_per_atom() const
  {
    return model->energy.semantics == eqnn::EnergySemantics::MeanPerAtom;
  }
};

/* ---------------------------------------------------------------------- */

PairEQNN::PairEQNN(LAMMPS *lmp) : Pair(lmp), impl(new Impl(this))
{
  single_enable = 0;
  restartinfo = 0;
  one_coeff = 1;
  manybody_flag = 1;
  no_virial_fdotr_compute = 1;
  centroidstressflag = CENTROID_NOTAVAIL;
}

/* ---------------------------------------------------------------------- */

PairEQNN::~PairEQNN()
{
  delete impl;
  if (allocated) {
    memory->destroy(setflag);
    memory->destroy(cutsq);
  }
}

/* ---------------------------------------------------------------------- */

void PairEQNN::allocate()
{
  allocated = 1;
  const int n = atom->ntypes;
  memory->create(setflag, n + 1, n + 1, "pair:setflag");
  memory->create(cutsq, n + 1, n + 1, "pair:cutsq");
  map = new int[n + 1];
}

/* ----------------------------------------------------------------------
   pair_style eqnn [precision double|mixed|single] [allow mean-per-atom|direct-forces]
                   [products sparse|grid|fourier] [convolutions sparse|aligned]
                   [self_test yes|no]
------------------------------------------------------------------------- */

void PairEQNN::settings(int narg, char **arg)
{
  impl->options = {};
  impl->allow_mean_per_atom = impl->allow_direct_forces = false;
  impl->self_test = true;

  int iarg = 0;
  while (iarg < narg) {
    const std::string keyword = arg[iarg++];
    if (iarg == narg)
      error->all(FLERR,
                 "Pair style eqnn: '{}' is the last word, expected 'precision', 'allow', "
                 "'products', 'convolutions' or 'self_test' with a value after it",
                 keyword);
    if (keyword == "precision" || keyword == "products" || keyword == "convolutions") {
      const std::string name = arg[iarg++];
      try {
        if (keyword == "precision") impl->options.precision = eqnn::precision_from_name(name);
        else if (keyword == "products") impl->options.products = eqnn::products_from_name(name);
        else impl->options.convolutions = eqnn::convolutions_from_name(name);
      } catch (const eqnn::Error &failure) {
        error->all(FLERR, "Pair style eqnn: {}", failure.what());
      }
    } else if (keyword == "allow") {
      const std::string what = arg[iarg++];
      if (what == "mean-per-atom") impl->allow_mean_per_atom = true;
      else if (what == "direct-forces") impl->allow_direct_forces = true;
      else
        error->all(FLERR,
                   "Pair style eqnn: 'allow {}' is not known, expected 'allow mean-per-atom' "
                   "or 'allow direct-forces'",
                   what);
    } else if (keyword == "self_test")
      impl->self_test = utils::logical(FLERR, arg[iarg++], false, lmp) == 1;
    else
      error->all(FLERR,
                 "Pair style eqnn: keyword '{}' is not known, expected 'precision', 'allow', "
                 "'products', 'convolutions' or 'self_test'",
                 keyword);
  }
}

/* ----------------------------------------------------------------------
   pair_coeff * * MODEL.eqnn element1 element2 ...
------------------------------------------------------------------------- */

void PairEQNN::coeff(int narg, char **arg)
{
  if (!allocated) allocate();
  if (narg != 3 + atom->ntypes)
    error->all(FLERR,
               "Pair style eqnn: pair_coeff names {} elements for {} atom types, expected "
               "'pair_coeff * * MODEL.eqnn' and then one element or NULL for each type",
               std::max(0, narg - 3), atom->ntypes);
  map_element2type(narg - 3, arg + 3);

  load(arg[2]);

  std::vector<std::string> element_of_type(atom->ntypes + 1);
  for (int type = 1; type <= atom->ntypes; type++)
    if (map[type] >= 0) element_of_type[type] = elements[map[type]];
  try {
    impl->species_of_type = species_of_type(*impl->model, element_of_type);
  } catch (const eqnn::Error &failure) {
    error->all(FLERR, "Pair style eqnn: {}", failure.what());
  }
}

/* ----------------------------------------------------------------------
   read a file on one rank for all
------------------------------------------------------------------------- */

std::string PairEQNN::read_file(const char *name)
{
  std::string bytes;
  bigint size = -1;
  if (comm->me == 0) {
    const std::string path = utils::get_potential_file_path(name);
    std::ifstream file(path, std::ios::binary | std::ios::ate);
    if (!path.empty() && file) size = file.tellg();
    if (size >= 0 && size <= MAXSMALLINT) {
      bytes.resize(size);
      file.seekg(0);
      if (!file.read(bytes.data(), size)) size = -1;
    }
  }
  MPI_Bcast(&size, 1, MPI_LMP_BIGINT, 0, world);
  if (size < 0)
    error->all(FLERR,
               "Pair style eqnn: cannot read the model file '{}': give its path, or put it "
               "into a folder named in the environment variable LAMMPS_POTENTIALS",
               name);
  if (size > MAXSMALLINT)
    error->all(FLERR,
               "Pair style eqnn: the model file '{}' has {} bytes, expected at most {}: this is "
               "not a model",
               name, size, MAXSMALLINT);
  bytes.resize(size);
  MPI_Bcast(bytes.data(), static_cast<int>(size), MPI_CHAR, 0, world);
  return bytes;
}

/* ---------------------------------------------------------------------- */

void PairEQNN::load(const char *name)
{
  const std::string bytes = read_file(name);
  impl->potential.reset();
  try {
    impl->model = eqnn::parse_model(bytes, name);
    const eqnn::ModelSpec &model = *impl->model;
    if (impl->is_mean_per_atom() && !impl->allow_mean_per_atom)
      error->all(FLERR,
                 "Pair style eqnn: {} predicts the mean energy per atom, which is meaningless "
                 "for other numbers of atoms than it was trained on: use a model with extensive "
                 "energies, or force it by 'pair_style eqnn allow mean-per-atom'",
                 name);
    if (impl->has_direct_forces() && !impl->allow_direct_forces)
      error->all(FLERR,
                 "Pair style eqnn: {} predicts forces that are not the derivative of its "
                 "energy, so that energy is not conserved and there is no virial: use a model with "
                 "gradient forces, or force it by 'pair_style eqnn allow direct-forces'",
                 name);
    impl->potential = std::make_unique<eqnn::Potential>(model, impl->options);
    if (comm->me == 0)
      utils::logmesg(lmp,
                     "eqnn {} ({}) for LAMMPS {}: {} precision\n  model {} ({}), sha256 {}\n  {}\n",
                     eqnn::kVersion, eqnn::kCommit, EQNN_LAMMPS_VERSION,
                     std::string(eqnn::name_of(impl->options.precision)), name, model.family,
                     model.sha256.substr(0, 12), impl->potential->description());
    if (impl->self_test) self_test();
  } catch (const std::bad_alloc &) {
    error->one(FLERR, "Pair style eqnn: not enough memory for the model '{}'", name);
  } catch (const eqnn::Error &failure) {
    error->all(FLERR, "Pair style eqnn: {}", failure.what());
  }

  comm_forward = comm_reverse = impl->potential->max_row_width();
}

/* ---------------------------------------------------------------------- */

void PairEQNN::self_test()
{
  const auto result = eqnn::run_self_tests(*impl->model, *impl->potential);
  eqnn::require_passed(result, *impl->model, impl->options.precision);
  if (comm->me == 0)
    utils::logmesg(lmp,
                   "  self-test: {} structures, errors up to {:.1e} eV/atom, {:.1e} eV/Angstrom\n",
                   result.n_structures, result.energy_error, result.force_error);
}

/* ---------------------------------------------------------------------- */

void PairEQNN::init_style()
{
  const std::string units = update->unit_style;
  if (units == "metal") impl->energy_unit = 1.0;
  else if (units == "real")
    impl->energy_unit = utils::get_conversion_factor(utils::ENERGY, utils::METAL2REAL);
  else error->all(FLERR, "Pair style eqnn: units are '{}', expected 'metal' or 'real'", units);

  if (atom->tag_enable == 0)
    error->all(FLERR, "Pair style eqnn: atoms have no IDs; remove 'atom_modify id no'");
  if (force->newton_pair == 0)
    error->all(FLERR,
               "Pair style eqnn: newton is off for pairs, but forces on ghost atoms must come "
               "home: use 'newton on'");

  // LAMMPS leaves bonded pairs out of the neighbor list where their special_bonds weight is zero.
  // The model must see them.

  if (atom->nbonds > 0)
    for (int i = 1; i <= 3; i++)
      if (force->special_lj[i] == 0.0 && force->special_coul[i] == 0.0)
        error->all(FLERR,
                   "Pair style eqnn: special_bonds takes 1-{} neighbors out of the neighbor "
                   "list, but the model needs all pairs: use 'special_bonds lj/coul 1 1 1', or "
                   "1.0e-50 instead of 0 if other pair styles must not see them",
                   i + 1);
  // not yet known as neighbor->exclude: that is set later in the initialization

  if (neighbor->nex_type + neighbor->nex_group + neighbor->nex_mol > 0 && comm->me == 0)
    error->warning(FLERR, "Pair style eqnn: the model does not see the pairs that 'neigh_modify "
                          "exclude' takes out of the neighbor list");

  if (impl->has_direct_forces() && comm->me == 0)
    error->warning(FLERR,
                   "Pair style eqnn: {} has direct forces and so no virial: pressures and stresses "
                   "are NaN",
                   impl->model->file);

  neighbor->add_request(this, NeighConst::REQ_FULL);

  // pair style hybrid took its sizes before the model was known

  force->pair->comm_forward = std::max(force->pair->comm_forward, comm_forward);
  force->pair->comm_reverse = std::max(force->pair->comm_reverse, comm_reverse);
}

/* ---------------------------------------------------------------------- */

double PairEQNN::init_one(int /*i*/, int /*j*/)
{
  return impl->model->cutoff;
}

/* ---------------------------------------------------------------------- */

void PairEQNN::compute(int eflag, int vflag)
{
  ev_init(eflag, vflag);
  evaluate();
  if (!impl->memory_reported) report_memory();
  tally_energy();
  tally_forces();
  if (impl->has_direct_forces()) refuse_virial();
  else if (vflag_atom) tally_peratom_virial();
}

/* ----------------------------------------------------------------------
   once, after the first step, when every buffer has its size
------------------------------------------------------------------------- */

void PairEQNN::report_memory()
{
  impl->memory_reported = true;
  const double mine = memory_usage();
  double total = 0.0;
  MPI_Allreduce(&mine, &total, 1, MPI_DOUBLE, MPI_SUM, world);
  if (comm->me == 0 && atom->natoms > 0)
    utils::logmesg(lmp,
                   "eqnn memory: {:.1f} MB on all ranks, tables included; {:.1f} kB per atom\n",
                   1e-6 * total, 1e-3 * total / static_cast<double>(atom->natoms));
}

/* ---------------------------------------------------------------------- */

void PairEQNN::evaluate()
{
  try {
    impl->edges.build(*list, *atom, impl->species_of_type, impl->model->cutoff);
    impl->halo.set_comm(comm);
    impl->potential->evaluate(impl->edges.edges(), impl->halo, impl->outputs);
  } catch (const std::bad_alloc &) {
    error->one(FLERR,
               "Pair style eqnn, step {}: not enough memory for {} atoms and {} edges on this "
               "rank: use more ranks on more machines, or single precision",
               update->ntimestep, impl->edges.edges().n_nodes, impl->edges.edges().n_edges());
  } catch (const std::exception &failure) {    // eqnn::Error, and what Kokkos throws
    error->one(FLERR, "Pair style eqnn, step {}: {}", update->ntimestep, failure.what());
  }
  if (!impl->is_mean_per_atom()) return;

  // E = N s sum_i e_i + sum_i (b + E0_i)

  const eqnn::EdgeList &edges = impl->edges.edges();
  const bigint n_owned = edges.n_centers;
  bigint n_atoms = 0;
  MPI_Allreduce(&n_owned, &n_atoms, 1, MPI_LMP_BIGINT, MPI_SUM, world);
  const double n = static_cast<double>(n_atoms);
  for (int i = 0; i < edges.n_centers; i++)
    impl->outputs.energy[i] = eqnn::share_of_mean_per_atom(impl->model->energy, edges.species[i],
                                                           impl->outputs.energy[i], n);
  for (double &gradient : impl->outputs.edge_gradient) gradient *= n;
}

/* ---------------------------------------------------------------------- */

void PairEQNN::tally_energy()
{
  if (!eflag_either) return;
  const int n_centers = impl->edges.edges().n_centers;
  for (int node = 0; node < n_centers; node++) {
    const double energy = impl->energy_unit * impl->outputs.energy[node];
    if (eflag_global) eng_vdwl += energy;
    if (eflag_atom) eatom[impl->edges.atom_of_node()[node]] += energy;
  }
}

/* ---------------------------------------------------------------------- */

void PairEQNN::tally_forces()
{
  const eqnn::EdgeList &edges = impl->edges.edges();
  const double unit = impl->energy_unit;

  if (impl->has_direct_forces()) {
    impl->node_forces = impl->outputs.direct_forces;
  } else {
    impl->node_forces.assign(3 * static_cast<std::size_t>(edges.n_nodes), 0.0);
    std::fill(std::begin(impl->virial), std::end(impl->virial), 0.0);
    eqnn::fold_edges(edges, impl->outputs.edge_gradient, impl->node_forces.data(),
                     vflag_global ? impl->virial : nullptr);
  }

  double *const *f = atom->f;
  const std::size_t n_rows = impl->node_forces.size() / 3;
  for (std::size_t node = 0; node < n_rows; node++) {
    const int i = impl->edges.atom_of_node()[node];
    for (int d = 0; d < 3; d++) f[i][d] += unit * impl->node_forces[3 * node + d];
  }

  // LAMMPS has room for the symmetric part only

  if (vflag_global) {
    const double *v = impl->virial;
    virial[0] += unit * v[0];
    virial[1] += unit * v[4];
    virial[2] += unit * v[8];
    virial[3] += unit * 0.5 * (v[1] + v[3]);
    virial[4] += unit * 0.5 * (v[2] + v[6]);
    virial[5] += unit * 0.5 * (v[5] + v[7]);
  }
}

/* ----------------------------------------------------------------------
   LAMMPS asks for the virial in every set-up, so it is no error that it does: what is derived from it
   must not pass for a number
------------------------------------------------------------------------- */

void PairEQNN::refuse_virial()
{
  const double nan = std::numeric_limits<double>::quiet_NaN();
  if (vflag_global) std::fill(virial, virial + 6, nan);
  if (vflag_atom)
    for (int i = 0; i < atom->nlocal; i++) std::fill(vatom[i], vatom[i] + 6, nan);
}

/* ----------------------------------------------------------------------
   half of an edge's virial -r (x) dE/dr to each of its two atoms
------------------------------------------------------------------------- */

void PairEQNN::tally_peratom_virial()
{
  const eqnn::EdgeList &edges = impl->edges.edges();
  const std::vector<int> &atom_of_node = impl->edges.atom_of_node();
  const double half = 0.5 * impl->energy_unit;

  for (int center = 0; center < edges.n_centers; center++) {
    double *vi = vatom[atom_of_node[center]];
    for (std::int64_t e = edges.begin[center]; e < edges.begin[center + 1]; e++) {
      double *vj = vatom[atom_of_node[edges.source[e]]];
      const double *r = &edges.vector[3 * e];
      const double *g = &impl->outputs.edge_gradient[3 * e];
      const double v[6] = {-half * r[0] * g[0],
                           -half * r[1] * g[1],
                           -half * r[2] * g[2],
                           -half * 0.5 * (r[0] * g[1] + r[1] * g[0]),
                           -half * 0.5 * (r[0] * g[2] + r[2] * g[0]),
                           -half * 0.5 * (r[1] * g[2] + r[2] * g[1])};
      for (int k = 0; k < 6; k++) {
        vi[k] += v[k];
        vj[k] += v[k];
      }
    }
  }
}

/* ---------------------------------------------------------------------- */

int PairEQNN::pack_forward_comm(int n, int *atoms, double *buf, int /*pbc_flag*/, int * /*pbc*/)
{
  return impl->halo.pack_forward(n, atoms, buf);
}

void PairEQNN::unpack_forward_comm(int n, int first, double *buf)
{
  impl->halo.unpack_forward(n, first, buf);
}

int PairEQNN::pack_reverse_comm(int n, int first, double *buf)
{
  return impl->halo.pack_reverse(n, first, buf);
}

void PairEQNN::unpack_reverse_comm(int n, int *atoms, double *buf)
{
  impl->halo.unpack_reverse(n, atoms, buf);
}

/* ---------------------------------------------------------------------- */

double PairEQNN::memory_usage()
{
  double bytes = Pair::memory_usage() + impl->edges.memory_usage();
  if (impl->potential) bytes += static_cast<double>(impl->potential->bytes_used());
  const eqnn::Outputs &outputs = impl->outputs;
  const std::size_t n_doubles = outputs.energy.capacity() + outputs.edge_gradient.capacity() +
                                outputs.direct_forces.capacity() + impl->node_forces.capacity();
  bytes += static_cast<double>(n_doubles * sizeof(double));
  return bytes;
}
