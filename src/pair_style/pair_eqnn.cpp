// SPDX-License-Identifier: GPL-2.0-only
/* ----------------------------------------------------------------------
   LAMMPS - Large-scale Atomic/Molecular Massively Parallel Simulator
   https://www.lammps.org/, Sandia National Laboratories
   LAMMPS development team: developers@lammps.org

   This software is distributed under the GNU General Public License.
------------------------------------------------------------------------- */

#include "pair_eqnn.h"

#include "collective.h"
#include "pair_eqnn_impl.h"
#include "read_on_one_rank.h"
#include "run_warnings.h"
#include "type_map.h"

#include "base/elements.hpp"
#include "base/error.hpp"
#include "base/free_memory.hpp"
#include "eqnn/version.hpp"

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
#include <optional>
#include <utility>

using namespace LAMMPS_NS;

namespace {

bool is_mean_per_atom(const eqnn::Model &model)
{
  return model.energy_semantics() == eqnn::EnergySemantics::MeanPerAtom;
}

bool has_direct_forces(const eqnn::Model &model)
{
  return model.forces() == eqnn::ForceKind::Direct;
}

}    // namespace

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
   Sets the pairs of types that have a model: all pairs of mapped types, or none.
------------------------------------------------------------------------- */

void PairEQNN::set_coeffs(const std::vector<int> &species_of_type)
{
  for (int i = 1; i <= atom->ntypes; i++)
    for (int j = 1; j <= atom->ntypes; j++)
      setflag[i][j] =
          !species_of_type.empty() && species_of_type[i] >= 0 && species_of_type[j] >= 0;
}

/* ----------------------------------------------------------------------
   After a second pair_style command, pair_coeff must be repeated, because the loaded model may have
   another precision.
------------------------------------------------------------------------- */

void PairEQNN::settings(int narg, char **arg)
{
  impl->settings = read_settings(lmp, narg, arg);
  impl->settings.options.gpu_number = rank_on_node(world);
  impl->loaded.reset();
  if (allocated) set_coeffs({});
}

/* ----------------------------------------------------------------------
   pair_coeff * * MODEL.eqnn element1 element2 ...
   If the command is rejected, the model set before remains.
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

  std::optional<Impl::Loaded> loaded;
  try {
    std::string bytes = read_on_one_rank(lmp, arg[2]);
    together(world, fmt::format("not enough memory for the model '{}'", arg[2]), [&] {
      eqnn::Model file = eqnn::Model::parse(bytes, arg[2]);
      std::string().swap(bytes);
      require_allowed(file);
      loaded = impl->load(std::move(file), element_of_type);
    });
  } catch (const eqnn::Error &failure) {
    error->all(FLERR, "Pair style eqnn: {}", failure.what());
  }

  impl->loaded = std::move(loaded);
  eqnn::return_free_memory();
  impl->memory_reported = impl->threads_checked = impl->has_nodes = false;
  // a single rank exchanges nothing, so LAMMPS needs no buffers for its ghosts
  comm_forward = comm_reverse = comm_reverse_off =
      comm->nprocs == 1 ? 0
                        : std::max(Impl::VIRIAL_WIDTH, impl->loaded->potential->max_row_width());
  set_coeffs(impl->loaded->species_of_type);
  report_model();
}

/* ---------------------------------------------------------------------- */

/* ----------------------------------------------------------------------
   Keeps weights and tables only for the elements of pair_coeff. Self-tests may need other elements.
   Then their potential is destroyed before the one for the run is made.
------------------------------------------------------------------------- */

PairEQNN::Impl::Loaded PairEQNN::Impl::load(eqnn::Model file,
                                            const std::vector<std::string> &element_of_type) const
{
  const std::vector<std::int32_t> in_use = elements_in_use(file, element_of_type);
  const eqnn::Model model = in_use.empty() ? file : file.with_species(in_use);
  Loaded loaded{model, nullptr, species_of_type(model, element_of_type),
                {},    {},      static_cast<int>(file.species().size())};
  const auto test = [&](const eqnn::Model &of, eqnn::Potential &potential) {
    loaded.tested = eqnn::run_self_tests(of, potential);
    eqnn::require_passed(*loaded.tested, of, settings.options.precision);
  };
  eqnn::PotentialOptions options = settings.options;
  const bool tests_fit = model.self_tests().size() == file.self_tests().size();
  if (settings.self_test && !tests_fit) {
    options.table_cache = eqnn::make_table_cache();
    const std::vector<std::int32_t> elements = eqnn::elements_of_self_tests(file);
    if (elements != file.species()) file = file.with_species(elements);
    eqnn::Potential potential(file, options);
    test(file, potential);
  }
  file = model;
  loaded.potential = std::make_unique<eqnn::Potential>(model, options);
  if (settings.self_test && tests_fit) test(model, *loaded.potential);
  loaded.free_atom_energies = loaded.potential->free_atom_energies();
  return loaded;
}

/* ---------------------------------------------------------------------- */

void PairEQNN::require_allowed(const eqnn::Model &model) const
{
  if (is_mean_per_atom(model) && !impl->settings.allow_mean_per_atom)
    eqnn::fail(model.file(),
               " predicts the mean energy per atom, which is meaningless for other numbers of "
               "atoms than it was trained on: use a model with extensive energies, or allow it "
               "with 'pair_style eqnn allow mean-per-atom'");
  if (is_mean_per_atom(model) && impl->settings.leaves_out_free_atoms())
    eqnn::fail(
        model.file(),
        " predicts the mean energy per atom, so the energies of free atoms cannot be left out: "
        "remove 'energy_zero free_atoms'");
  if (has_direct_forces(model) && !impl->settings.allow_direct_forces)
    eqnn::fail(model.file(),
               " predicts forces that are not the derivative of its energy, so that energy is not "
               "conserved and there is no virial: use a model with gradient forces, or allow it "
               "with 'pair_style eqnn allow direct-forces'");
}

/* ---------------------------------------------------------------------- */

std::string PairEQNN::free_atoms() const
{
  std::string text;
  std::vector<int> said;
  for (const int species : impl->loaded->species_of_type) {
    if (species < 0 || std::find(said.begin(), said.end(), species) != said.end()) continue;
    said.push_back(species);
    text += fmt::format("{}{} {:.6g}", text.empty() ? "" : ", ",
                        eqnn::element_symbol(impl->loaded->model.species()[species]),
                        impl->loaded->free_atom_energies[species]);
  }
  return text + " eV";
}

/* ---------------------------------------------------------------------- */

void PairEQNN::report_model()
{
  if (comm->me != 0) return;
  const Impl::Loaded &loaded = *impl->loaded;
  const eqnn::Model &model = loaded.model;
  utils::logmesg(lmp,
                 "eqnn {} ({}) for LAMMPS {}: {} precision\n  model {} ({}), sha256 {}\n  {}\n",
                 eqnn::version(), eqnn::commit(), EQNN_LAMMPS_VERSION,
                 std::string(eqnn::name_of(impl->settings.options.precision)), model.file(),
                 model.family(), model.sha256().substr(0, 12), loaded.potential->description());
  if (static_cast<int>(model.species().size()) < loaded.n_species_of_file)
    utils::logmesg(lmp, "  {} of its {} elements are loaded: those in pair_coeff\n",
                   model.species().size(), loaded.n_species_of_file);
  if (loaded.tested && loaded.tested->n_structures == 0)
    error->warning(FLERR,
                   "Pair style eqnn: {} has no self-test structure to compare this build with the "
                   "exporter: export the model again",
                   model.file());
  else if (loaded.tested)
    utils::logmesg(
        lmp, "  self-test: {} structures, errors up to {:.1e} eV/atom, {:.1e} eV/Angstrom\n",
        loaded.tested->n_structures, loaded.tested->energy_error, loaded.tested->force_error);
  if (impl->settings.leaves_out_free_atoms())
    utils::logmesg(lmp, "  energies are relative to free atoms: {} are left out\n", free_atoms());

  const auto warn_needless = [&](const std::string &keyword, const std::string &value, bool has) {
    if (!value.empty() && !has)
      error->warning(FLERR, "Pair style eqnn: '{} {}' has no effect: {} has no {} {}", keyword,
                     value, model.file(), keyword,
                     keyword == "couplings" ? "in factors" : "of functions on the sphere");
  };
  const eqnn::PotentialOptions &options = impl->settings.options;
  warn_needless("products", options.products, loaded.potential->has_products());
  warn_needless("convolutions", options.convolutions, loaded.potential->has_convolutions());
  warn_needless("couplings", options.couplings, loaded.potential->has_factored_couplings());
}

/* ---------------------------------------------------------------------- */

void PairEQNN::init_style()
{
  if (!impl->loaded) error->all(FLERR, "All pair coeffs are not set");

  const std::string units = update->unit_style;
  if (units == "metal") impl->energy_unit = 1.0;
  else if (units == "real")
    impl->energy_unit = utils::get_conversion_factor(utils::ENERGY, utils::METAL2REAL);
  else error->all(FLERR, "Pair style eqnn: units are '{}', expected 'metal' or 'real'", units);

  if (atom->tag_enable == 0)
    error->all(FLERR, "Pair style eqnn: atoms have no IDs; remove 'atom_modify id no'");
  refuse_heat_flux(lmp);

  // the neighbor list is checked at the first step, after all of LAMMPS is initialized

  impl->list_checked = false;
  impl->rules.start_run(impl->loaded->species_of_type);

  warn_of_masses(lmp, impl->loaded->species_of_type, impl->loaded->model.species());
  if (!impl->settings.leaves_out_free_atoms() && !is_mean_per_atom(impl->loaded->model))
    warn_of_chemical_potentials(lmp, free_atoms());
  if (!impl->threads_checked) {
    impl->threads_checked = true;
    warn_of_threads(lmp, impl->loaded->potential->n_threads());
  }
  if (has_direct_forces(impl->loaded->model) && comm->me == 0)
    error->warning(FLERR,
                   "Pair style eqnn: {} has direct forces and so no virial: pressures and stresses "
                   "are NaN",
                   impl->loaded->model.file());

  request_list();

  // pair style hybrid read these sizes before the model was known

  force->pair->comm_forward = std::max(force->pair->comm_forward, comm_forward);
  force->pair->comm_reverse = std::max(force->pair->comm_reverse, comm_reverse);
  force->pair->comm_reverse_off = std::max(force->pair->comm_reverse_off, comm_reverse_off);
}

/* ---------------------------------------------------------------------- */

void PairEQNN::request_list()
{
  neighbor->add_request(this, NeighConst::REQ_FULL);
}

NeighborRows PairEQNN::rows_of_list()
{
  return {list->inum, list->ilist, list->numneigh, list->firstneigh, 1};
}

/* ---------------------------------------------------------------------- */

double PairEQNN::init_one(int i, int j)
{
  impl->rules.take_pair(i, j);
  return impl->loaded->model.cutoff();
}

/* ---------------------------------------------------------------------- */

void PairEQNN::compute(int eflag, int vflag)
{
  ev_init(eflag, vflag);
  compute_on_host();
}

void PairEQNN::compute_on_host()
{
  const eqnn::Observables &found = evaluate();
  if (!impl->memory_reported) report_memory();
  if (force->newton_pair == 0) bring_home(found);
  tally(found);
}

/* ----------------------------------------------------------------------
   Once, after the first step, when all buffers have their size.
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

bool PairEQNN::look_at_list()
{
  const bool is_first_step = !impl->list_checked;
  if (is_first_step) impl->rules.require_complete_list();
  impl->list_checked = true;

  // also if a list was built while only another style was computed (pair_modify compute no)

  const bool is_new_list = is_first_step || neighbor->ago == 0 ||
                           neighbor->lastcall != impl->list_step ||
                           neighbor->ncalls != impl->list_number;
  impl->list_step = neighbor->lastcall;
  impl->list_number = neighbor->ncalls;
  if (is_new_list) {
    impl->rules.find_excluded();
    impl->edges.find_owners(*atom, impl->rules.excluded());
  }
  return is_new_list;
}

/* ----------------------------------------------------------------------
   Returns the failure, or an empty string.
------------------------------------------------------------------------- */

std::string PairEQNN::build_edges()
{
  const Impl::Loaded &loaded = *impl->loaded;
  const double cutoff = loaded.model.cutoff();
  const auto no_memory = [] {
    return "not enough memory for the edges on this rank: use more ranks on more machines";
  };
  return eqnn::failure_of(no_memory, [&] {
    impl->edges.build(rows_of_list(), *atom, loaded.species_of_type, cutoff);
    if (impl->settings.check_edges)
      impl->rules.count_edges(impl->edges.edges(), impl->edges.atom_of_node(), cutoff);
  });
}

/* ---------------------------------------------------------------------- */

eqnn::Wanted PairEQNN::wanted() const
{
  eqnn::Wanted wanted;
  wanted.virial = vflag_global != 0;
  wanted.atom_virial = vflag_atom != 0;
  return wanted;
}

/* ---------------------------------------------------------------------- */

const eqnn::Observables &PairEQNN::evaluate()
{
  const Impl::Loaded &loaded = *impl->loaded;
  try {
    if (makes_edges_there()) return evaluate_list();
    impl->has_nodes = false;
    impl->halo.set_explanation(nullptr);
    const bool is_new_list = look_at_list();
    const std::string failure = build_edges();
    if (!failure.empty()) impl->edges.clear();
    impl->halo.set_failure(failure);
    impl->edges.add_nodes(*atom, impl->halo.find_wanted(comm, *atom, is_new_list),
                          loaded.species_of_type);
    return loaded.potential->evaluate(impl->edges.edges(), impl->halo, wanted());
  } catch (const eqnn::Error &failure_of_all) {
    impl->has_nodes = false;
    error->all(FLERR, "Pair style eqnn, step {}: {}", update->ntimestep, failure_of_all.what());
  }
}

/* ----------------------------------------------------------------------
   With newton off, LAMMPS does not add the results on ghosts to their owners. So this does, by the
   reverse halo exchange.
------------------------------------------------------------------------- */

void PairEQNN::bring_home(const eqnn::Observables &found)
{
  impl->forces_at_home = found.forces;
  impl->halo.reverse(eqnn::NodeRows<double>{impl->forces_at_home.data(), 3});
  impl->virials_at_home = found.atom_virial;
  if (vflag_atom)
    impl->halo.reverse(eqnn::NodeRows<double>{impl->virials_at_home.data(), Impl::VIRIAL_WIDTH});
}

/* ----------------------------------------------------------------------
   LAMMPS stores only the symmetric part of a virial. For direct forces, the virial is NaN. It is
   not an error to ask for it, because LAMMPS does so in every setup.
------------------------------------------------------------------------- */

void PairEQNN::tally(const eqnn::Observables &found)
{
  const std::vector<int> &atom_of_node = impl->edges.atom_of_node();
  const double unit = impl->energy_unit;
  const bool is_home = force->newton_pair == 0;
  const std::vector<double> &forces = is_home ? impl->forces_at_home : found.forces;
  const std::vector<double> &virials = is_home ? impl->virials_at_home : found.atom_virial;
  const std::size_t n_nodes = is_home ? found.atom_energy.size() : atom_of_node.size();

  if (eflag_either)
    for (std::size_t node = 0; node < found.atom_energy.size(); node++) {
      const double energy = unit * found.atom_energy[node];
      if (eflag_global) eng_vdwl += energy;
      if (eflag_atom) eatom[atom_of_node[node]] += energy;
    }

  for (std::size_t node = 0; node < n_nodes; node++) {
    double *f = atom->f[atom_of_node[node]];
    for (int d = 0; d < 3; d++) f[d] += unit * forces[3 * node + d];
  }

  const auto add_virial = [unit](double *to, const double *v) {
    const double symmetric[6] = {
        v[0], v[4], v[8], 0.5 * (v[1] + v[3]), 0.5 * (v[2] + v[6]), 0.5 * (v[5] + v[7])};
    for (int k = 0; k < 6; k++) to[k] += unit * symmetric[k];
  };
  if (vflag_global) add_virial(virial, found.virial.data());
  if (vflag_atom)
    for (std::size_t node = 0; node < n_nodes; node++)
      add_virial(vatom[atom_of_node[node]], &virials[Impl::VIRIAL_WIDTH * node]);
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
  bytes += static_cast<double>(
      sizeof(double) * (impl->forces_at_home.capacity() + impl->virials_at_home.capacity()) +
      sizeof(int) * (impl->node_of_atom.capacity() + impl->is_mapped.capacity() +
                     impl->species_of_node.capacity()));
  if (impl->loaded) bytes += static_cast<double>(impl->loaded->potential->bytes_used());
  return bytes;
}
