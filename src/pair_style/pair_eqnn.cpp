// SPDX-License-Identifier: GPL-2.0-only
/* ----------------------------------------------------------------------
   LAMMPS - Large-scale Atomic/Molecular Massively Parallel Simulator
   https://www.lammps.org/, Sandia National Laboratories
   LAMMPS development team: developers@lammps.org

   This software is distributed under the GNU General Public License.
------------------------------------------------------------------------- */

#include "pair_eqnn.h"

#include "collective.h"
#include "edges_from_list.h"
#include "lammps_halo.h"
#include "list_rules.h"
#include "run_warnings.h"
#include "type_map.h"

#include "base/elements.hpp"
#include "base/error.hpp"
#include "base/version.hpp"
#include "engine/fold_edges.hpp"
#include "engine/potential.hpp"
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
#include <filesystem>
#include <fstream>
#include <limits>
#include <memory>
#include <optional>
#include <system_error>

using namespace LAMMPS_NS;

namespace {

// pair_style eqnn

struct Settings {
  eqnn::PotentialOptions options;
  bool allow_mean_per_atom = false;
  bool allow_direct_forces = false;
  bool self_test = true;
  bool energies_of_free_atoms = true;
  bool check_edges = false;
};

// pair_coeff

struct Model {
  eqnn::ModelSpec spec;
  std::unique_ptr<eqnn::Potential> potential;
  std::vector<int> species_of_type;          // [ntypes + 1], -1 for NULL
  std::vector<double> free_atom_energies;    // [n_species] eV, of an atom without neighbors
  std::optional<eqnn::SelfTestResult> tested;

  bool has_direct_forces() const { return spec.forces == eqnn::ForceKind::Direct; }
  bool is_mean_per_atom() const
  {
    return spec.energy.semantics == eqnn::EnergySemantics::MeanPerAtom;
  }
};

const std::vector<std::string> KEYWORDS = {"precision",   "allow",       "products", "convolutions",
                                           "energy_zero", "check_edges", "self_test"};

}    // namespace

/* ---------------------------------------------------------------------- */

struct PairEQNN::Impl {
  Impl(Pair *pair, LAMMPS *lmp, MPI_Comm world) : rules(lmp), halo(pair, world, edges) {}

  Settings settings;
  std::optional<Model> model;
  double energy_unit = 1.0;    // 1 eV in LAMMPS's unit; both unit styles have Angstrom

  // said once: for each model, for each run

  bool memory_reported = false;
  bool threads_checked = false;
  bool list_checked = false;

  // the neighbor list that owners and exclusions were found for

  bigint list_step = -1, list_number = -1;

  // one step

  ListRules rules;
  EdgesFromList edges;
  LammpsHalo halo;
  eqnn::Outputs outputs;
  std::vector<double> node_forces;    // [n_nodes, 3] eV/Angstrom
  double virial[9] = {};              // eV
};

/* ---------------------------------------------------------------------- */

PairEQNN::PairEQNN(LAMMPS *lmp) : Pair(lmp), impl(new Impl(this, lmp, world))
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
  set_coeffs({});
}

/* ----------------------------------------------------------------------
   which pairs of types have a model: all of mapped types, or none
------------------------------------------------------------------------- */

void PairEQNN::set_coeffs(const std::vector<int> &species_of_type)
{
  for (int i = 1; i <= atom->ntypes; i++)
    for (int j = 1; j <= atom->ntypes; j++)
      setflag[i][j] =
          !species_of_type.empty() && species_of_type[i] >= 0 && species_of_type[j] >= 0;
}

/* ----------------------------------------------------------------------
   pair_style eqnn [precision double|mixed|single] [allow mean-per-atom|direct-forces]
                   [products sparse|grid|fourier] [convolutions sparse|aligned]
                   [energy_zero model|free_atoms] [check_edges yes|no] [self_test yes|no]
   Given again it asks for pair_coeff again: a model that is loaded knows another precision.
------------------------------------------------------------------------- */

void PairEQNN::settings(int narg, char **arg)
{
  Settings said;
  for (int iarg = 0; iarg < narg; iarg += 2) {
    const std::string keyword = arg[iarg];
    if (std::find(KEYWORDS.begin(), KEYWORDS.end(), keyword) == KEYWORDS.end())
      error->all(FLERR, "Pair style eqnn: keyword '{}' is not known, expected one of {}", keyword,
                 utils::join_words(KEYWORDS, ", "));
    if (iarg + 1 == narg)
      error->all(FLERR, "Pair style eqnn: '{}' is the last word, expected a value after it",
                 keyword);
    const std::string value = arg[iarg + 1];
    const auto is = [&](const char *word, const char *other) {
      if (value != word && value != other)
        error->all(FLERR, "Pair style eqnn: '{} {}' is not known, expected '{} {}' or '{} {}'",
                   keyword, value, keyword, word, keyword, other);
      return value == word;
    };
    try {
      if (keyword == "precision") said.options.precision = eqnn::precision_from_name(value);
      else if (keyword == "products") said.options.products = eqnn::products_from_name(value);
      else if (keyword == "convolutions")
        said.options.convolutions = eqnn::convolutions_from_name(value);
    } catch (const eqnn::Error &failure) {
      error->all(FLERR, "Pair style eqnn: {}", failure.what());
    }
    if (keyword == "allow") {
      if (is("mean-per-atom", "direct-forces")) said.allow_mean_per_atom = true;
      else said.allow_direct_forces = true;
    } else if (keyword == "energy_zero") said.energies_of_free_atoms = is("model", "free_atoms");
    else if (keyword == "check_edges")
      said.check_edges = utils::logical(FLERR, value, false, lmp) == 1;
    else if (keyword == "self_test") said.self_test = utils::logical(FLERR, value, false, lmp) == 1;
  }

  impl->settings = said;
  impl->model.reset();
  if (allocated) set_coeffs({});
}

/* ----------------------------------------------------------------------
   pair_coeff * * MODEL.eqnn element1 element2 ...
   A refused one changes nothing: what was set before goes on to hold.
------------------------------------------------------------------------- */

void PairEQNN::coeff(int narg, char **arg)
{
  if (!allocated) allocate();
  if (narg != 3 + atom->ntypes)
    error->all(FLERR,
               "Pair style eqnn: pair_coeff names {} elements for {} atom types, expected "
               "'pair_coeff * * MODEL.eqnn' and then one element or NULL for each type",
               std::max(0, narg - 3), atom->ntypes);

  std::vector<std::string> element_of_type(atom->ntypes + 1);
  for (int type = 1; type <= atom->ntypes; type++)
    if (std::strcmp(arg[2 + type], "NULL") != 0) element_of_type[type] = arg[2 + type];
    else if (force->pair == this)
      error->all(
          FLERR,
          "Pair style eqnn: pair_coeff maps atom type {} to NULL, which leaves it to another "
          "style, but there is none: name its element, or use pair_style hybrid/overlay",
          type);

  Model model;
  try {
    const std::string bytes = read_file(arg[2]);
    together(world, fmt::format("not enough memory for the model '{}'", arg[2]), [&] {
      model.spec = eqnn::parse_model(bytes, arg[2]);
      model.species_of_type = species_of_type(model.spec, element_of_type);
      require_allowed(model.spec);
      model.potential = std::make_unique<eqnn::Potential>(model.spec, impl->settings.options);
      if (impl->settings.self_test) {
        model.tested = eqnn::run_self_tests(model.spec, *model.potential);
        eqnn::require_passed(*model.tested, model.spec, impl->settings.options.precision);
      }
      model.free_atom_energies = eqnn::free_atom_energies(model.spec, *model.potential);
    });
  } catch (const eqnn::Error &failure) {
    error->all(FLERR, "Pair style eqnn: {}", failure.what());
  }

  impl->model = std::move(model);
  impl->memory_reported = impl->threads_checked = false;
  // one rank exchanges nothing: LAMMPS need not keep buffers for all of its ghosts
  comm_forward = comm_reverse = comm->nprocs == 1 ? 0 : impl->model->potential->max_row_width();
  set_coeffs(impl->model->species_of_type);
  report_model();
}

/* ----------------------------------------------------------------------
   read a file on one rank for all
------------------------------------------------------------------------- */

std::string PairEQNN::read_file(const char *name)
{
  std::string bytes;
  bigint size = -1;
  int is_folder = 0;
  if (comm->me == 0) {
    const std::string path = utils::get_potential_file_path(name);
    std::error_code ignored;    // what cannot be looked at cannot be opened either
    is_folder = std::filesystem::is_directory(path.empty() ? name : path, ignored);
    std::ifstream file(path, std::ios::binary | std::ios::ate);
    if (!path.empty() && !is_folder && file) size = file.tellg();
    if (size >= 0 && size <= MAXSMALLINT) {
      bytes.resize(size);
      file.seekg(0);
      if (!file.read(bytes.data(), size)) size = -1;
    }
  }
  MPI_Bcast(&size, 1, MPI_LMP_BIGINT, 0, world);
  MPI_Bcast(&is_folder, 1, MPI_INT, 0, world);
  if (is_folder)
    error->all(FLERR,
               "Pair style eqnn: '{}' is a folder, expected a model file: name the file in it, "
               "as in '{}/MODEL.eqnn'",
               name, name);

  // LAMMPS has taken them out, the first byte of each: nothing of that name is there

  std::string shown = name;
  const auto is_ascii = [](char c) { return static_cast<unsigned char>(c) < 128; };
  if (size < 0 && !std::all_of(shown.begin(), shown.end(), is_ascii)) {
    std::replace_if(shown.begin(), shown.end(), [&](char c) { return !is_ascii(c); }, '?');
    error->all(
        FLERR,
        "Pair style eqnn: LAMMPS changes characters that are not ASCII, as in the model file "
        "'{}': give it a name without, in a folder that the environment variable "
        "LAMMPS_POTENTIALS names if the folder's path has some",
        shown);
  }
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
  together(world, fmt::format("not enough memory for the model '{}'", name),
           [&] { bytes.resize(size); });
  MPI_Bcast(bytes.data(), static_cast<int>(size), MPI_CHAR, 0, world);
  return bytes;
}

/* ---------------------------------------------------------------------- */

void PairEQNN::require_allowed(const eqnn::ModelSpec &model) const
{
  const bool is_mean = model.energy.semantics == eqnn::EnergySemantics::MeanPerAtom;
  if (is_mean && !impl->settings.allow_mean_per_atom)
    eqnn::fail(model.file,
               " predicts the mean energy per atom, which is meaningless for other numbers of "
               "atoms than it was trained on: use a model with extensive energies, or force it by "
               "'pair_style eqnn allow mean-per-atom'");
  if (is_mean && !impl->settings.energies_of_free_atoms)
    eqnn::fail(model.file,
               " predicts the mean energy per atom, so that no part of it is that of free atoms: "
               "remove 'energy_zero free_atoms'");
  if (model.forces == eqnn::ForceKind::Direct && !impl->settings.allow_direct_forces)
    eqnn::fail(model.file,
               " predicts forces that are not the derivative of its energy, so that energy is not "
               "conserved and there is no virial: use a model with gradient forces, or force it by "
               "'pair_style eqnn allow direct-forces'");
}

/* ---------------------------------------------------------------------- */

std::string PairEQNN::free_atoms() const
{
  std::string text;
  std::vector<int> said;
  for (const int species : impl->model->species_of_type) {
    if (species < 0 || std::find(said.begin(), said.end(), species) != said.end()) continue;
    said.push_back(species);
    text += fmt::format("{}{} {:.6g}", text.empty() ? "" : ", ",
                        eqnn::element_symbol(impl->model->spec.species[species]),
                        impl->model->free_atom_energies[species]);
  }
  return text + " eV";
}

/* ---------------------------------------------------------------------- */

void PairEQNN::report_model()
{
  if (comm->me != 0) return;
  const Model &model = *impl->model;
  utils::logmesg(
      lmp, "eqnn {} ({}) for LAMMPS {}: {} precision\n  model {} ({}), sha256 {}\n  {}\n",
      eqnn::kVersion, eqnn::kCommit, EQNN_LAMMPS_VERSION,
      std::string(eqnn::name_of(impl->settings.options.precision)), model.spec.file,
      model.spec.family, model.spec.sha256.substr(0, 12), model.potential->description());
  if (model.tested)
    utils::logmesg(
        lmp, "  self-test: {} structures, errors up to {:.1e} eV/atom, {:.1e} eV/Angstrom\n",
        model.tested->n_structures, model.tested->energy_error, model.tested->force_error);
  if (!impl->settings.energies_of_free_atoms)
    utils::logmesg(lmp, "  energies are relative to free atoms: {} are left out\n", free_atoms());

  const auto warn_needless = [&](const std::string &keyword, const std::string &value, bool has) {
    if (!value.empty() && !has)
      error->warning(
          FLERR, "Pair style eqnn: '{} {}' has no effect: {} has no {} of functions on the sphere",
          keyword, value, model.spec.file, keyword);
  };
  warn_needless("products", impl->settings.options.products, model.potential->has_products());
  warn_needless("convolutions", impl->settings.options.convolutions,
                model.potential->has_convolutions());
}

/* ---------------------------------------------------------------------- */

void PairEQNN::init_style()
{
  if (!impl->model) error->all(FLERR, "All pair coeffs are not set");

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
  refuse_heat_flux(lmp);

  // the neighbor list is judged at the first step, when all of LAMMPS is initialized

  impl->list_checked = false;
  impl->rules.start_run(impl->model->species_of_type);

  warn_of_masses(lmp, impl->model->species_of_type, impl->model->spec.species);
  if (impl->settings.energies_of_free_atoms && !impl->model->is_mean_per_atom())
    warn_of_chemical_potentials(lmp, free_atoms());
  if (!impl->threads_checked) {
    impl->threads_checked = true;
    warn_of_threads(lmp, impl->model->potential->n_threads());
  }
  if (impl->model->has_direct_forces() && comm->me == 0)
    error->warning(FLERR,
                   "Pair style eqnn: {} has direct forces and so no virial: pressures and stresses "
                   "are NaN",
                   impl->model->spec.file);

  neighbor->add_request(this, NeighConst::REQ_FULL);

  // pair style hybrid took its sizes before the model was known

  force->pair->comm_forward = std::max(force->pair->comm_forward, comm_forward);
  force->pair->comm_reverse = std::max(force->pair->comm_reverse, comm_reverse);
}

/* ---------------------------------------------------------------------- */

double PairEQNN::init_one(int i, int j)
{
  impl->rules.take_pair(i, j);
  return impl->model->spec.cutoff;
}

/* ---------------------------------------------------------------------- */

void PairEQNN::compute(int eflag, int vflag)
{
  ev_init(eflag, vflag);
  evaluate();
  if (!impl->memory_reported) report_memory();
  tally_energy();
  tally_forces();
  if (impl->model->has_direct_forces()) refuse_virial();
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
  const Model &model = *impl->model;
  const bool is_first_step = !impl->list_checked;
  if (is_first_step) impl->rules.require_complete_list();
  impl->list_checked = true;

  // also where a list was built while another style computed alone: pair_modify compute no

  const bool is_new_list = is_first_step || neighbor->ago == 0 ||
                           neighbor->lastcall != impl->list_step ||
                           neighbor->ncalls != impl->list_number;
  impl->list_step = neighbor->lastcall;
  impl->list_number = neighbor->ncalls;
  if (is_new_list) {
    impl->rules.find_excluded();
    impl->edges.find_owners(*atom, impl->rules.excluded());
  }

  const double cutoff = model.spec.cutoff;
  const std::string failure = failure_of("not enough memory for the edges on this rank", [&] {
    impl->edges.build(*list, *atom, model.species_of_type, cutoff);
    if (impl->settings.check_edges)
      impl->rules.count_edges(impl->edges.edges(), impl->edges.atom_of_node(), cutoff);
  });
  if (!failure.empty()) impl->edges.clear();
  impl->halo.set_failure(failure);
  impl->edges.add_nodes(*atom, impl->halo.find_wanted(comm, *atom, is_new_list),
                        model.species_of_type);
  try {
    model.potential->evaluate(impl->edges.edges(), impl->halo, impl->outputs);
  } catch (const eqnn::Error &failure_of_all) {
    error->all(FLERR, "Pair style eqnn, step {}: {}", update->ntimestep, failure_of_all.what());
  }

  const eqnn::EdgeList &edges = impl->edges.edges();
  if (!impl->settings.energies_of_free_atoms)
    for (int i = 0; i < edges.n_centers; i++)
      impl->outputs.energy[i] -= model.free_atom_energies[edges.species[i]];
  if (!model.is_mean_per_atom()) return;

  // E = N s sum_i e_i + sum_i (b + E0_i)

  const bigint n_owned = edges.n_centers;
  bigint n_atoms = 0;
  MPI_Allreduce(&n_owned, &n_atoms, 1, MPI_LMP_BIGINT, MPI_SUM, world);
  const double n = static_cast<double>(n_atoms);
  for (int i = 0; i < edges.n_centers; i++)
    impl->outputs.energy[i] = eqnn::share_of_mean_per_atom(model.spec.energy, edges.species[i],
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

  if (impl->model->has_direct_forces()) {
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
  if (impl->model) bytes += static_cast<double>(impl->model->potential->bytes_used());
  const eqnn::Outputs &outputs = impl->outputs;
  const std::size_t n_doubles = outputs.energy.capacity() + outputs.edge_gradient.capacity() +
                                outputs.direct_forces.capacity() + impl->node_forces.capacity();
  bytes += static_cast<double>(n_doubles * sizeof(double));
  return bytes;
}
