// SPDX-License-Identifier: BSD-3-Clause
// Each function of the C++ interface once, by a program that has the installed headers and the library, and nothing
// else of eqnn. Fails with the number of the line where something is not as it should be.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <eqnn/eqnn.hpp>
#include <string>
#include <utility>
#include <vector>

#define EXPECT(condition)                                                                          \
  if (!(condition)) {                                                                              \
    std::fprintf(stderr, "consumer.cpp:%d: not so: %s\n", __LINE__, #condition);                   \
    return 1;                                                                                      \
  }

namespace {

/// One periodic image of each atom, as LAMMPS would have them.
class Images final : public eqnn::HaloExchange {
public:
  explicit Images(std::int32_t n_owned)
      : n_owned_(n_owned) {}

  void forward(eqnn::NodeRows<double> rows) override { copy(rows); }

  void forward(eqnn::NodeRows<float> rows) override { copy(rows); }

  void reverse(eqnn::NodeRows<double> rows) override { add(rows); }

  void reverse(eqnn::NodeRows<float> rows) override { add(rows); }

  std::string name_of(std::int32_t node) const override {
    return "the node " + std::to_string(node);
  }

private:
  template <class T> void copy(eqnn::NodeRows<T> rows) {
    std::copy_n(rows.data, n_owned_ * rows.width, rows.data + n_owned_ * rows.width);
  }

  template <class T> void add(eqnn::NodeRows<T> rows) {
    for (std::int32_t k = 0; k < n_owned_ * rows.width; ++k) {
      rows.data[k] += rows.data[n_owned_ * rows.width + k];
    }
  }

  std::int32_t n_owned_;
};

template <class Body> std::string refusal(const Body& body) {
  try {
    body();
  } catch (const eqnn::Error& error) { // the library's exception has the program's type
    return error.what();
  }
  return "";
}

/// Two of the same in one call get what one gets; a bad one beside them says why it has nothing.
int many(const eqnn::Model& model, eqnn::Potential& potential, const eqnn::EdgeList& edges) {
  const double energy = potential.evaluate(edges).energy;
  eqnn::EdgeList packed;
  eqnn::clear_structures(packed);
  eqnn::append_structure(packed, edges);
  eqnn::append_structure(packed, edges);
  const eqnn::PackedObservables& each = potential.evaluate_each(packed, {true, true, false});
  EXPECT(each.energy.size() == 2 && each.energy[0] == energy && each.energy[1] == energy);

  const eqnn::SelfTest& molecule = model.self_tests().front();
  const eqnn::Structure structure{molecule.numbers, molecule.positions, molecule.cell};
  const auto results = eqnn::evaluate_structures(model, potential, {structure, {}});
  EXPECT(results.size() == 2 && results[0].energy == energy);
  EXPECT(eqnn::name_of(results[1].failure) == "invalid" && !results[1].reason.empty());

  eqnn::RelaxOptions options;
  options.optimizer = eqnn::optimizer_from_name("fire");
  options.max_steps = 2;
  std::size_t n_ended = 0;
  eqnn::RelaxEvents events;
  events.finished = [&](std::size_t, const eqnn::Relaxed& relaxed) {
    n_ended += eqnn::name_of(relaxed.status) == "invalid" || relaxed.first_energy == energy ? 1 : 0;
    return true;
  };
  eqnn::relax(model, potential, {{structure, {}}, {{}, {}}}, options, events);
  EXPECT(n_ended == 2);
  return 0;
}

/// The same molecule as a list in which each atom has all others for neighbors.
int as_list(const eqnn::SelfTest& molecule,
            double cutoff,
            const eqnn::EdgeList& edges,
            eqnn::Potential& potential) {
  EXPECT(!molecule.cell && !potential.is_on_gpu());
  const std::int32_t n = edges.n_centers;
  std::vector<std::int32_t> atoms(static_cast<std::size_t>(n)), counts(atoms.size(), n - 1);
  std::vector<std::vector<std::int32_t>> rows(atoms.size());
  std::vector<const std::int32_t*> first;
  for (std::int32_t i = 0; i < n; ++i) {
    atoms[static_cast<std::size_t>(i)] = i;
    for (std::int32_t j = 0; j < n; ++j) {
      if (j != i) {
        rows[static_cast<std::size_t>(i)].push_back(j);
      }
    }
    first.push_back(rows[static_cast<std::size_t>(i)].data());
  }
  eqnn::NeighborsOnHost list;
  list.n_centers = list.n_nodes = list.n_atoms = n;
  list.species = edges.species.data();
  list.atom_of_node = list.node_of_atom = atoms.data();
  list.positions = molecule.positions.front().data();
  list.counts = counts.data();
  list.first = first.data();
  list.cutoff = cutoff;
  eqnn::NoHalo halo;
  const double energy = potential.evaluate(list, halo, {true, true, true}).energy;
  EXPECT(std::abs(energy - molecule.energy) < 1e-6);
  return 0;
}

/// The molecule's elements are enough for its energy; both potentials share their tables.
int cut(const eqnn::Model& model, const eqnn::SelfTest& molecule, double energy) {
  const std::vector<std::int32_t> elements = eqnn::elements_of_self_tests(model);
  EXPECT(!elements.empty() && elements.size() <= model.species().size());
  eqnn::PotentialOptions options;
  options.table_cache = eqnn::make_table_cache();
  EXPECT(options.table_cache != nullptr);
  for (const std::vector<std::int32_t>& kept : {elements, molecule.numbers}) {
    const eqnn::Model some = model.with_species(kept);
    eqnn::Potential potential(some, options);
    const eqnn::EdgeList edges = eqnn::edges_of(
        molecule.numbers, molecule.positions, molecule.cell, some.species(), some.cutoff());
    EXPECT(potential.evaluate(edges, {true, false, false}).energy == energy);
  }
  EXPECT(!refusal([&] { (void)model.with_species({}); }).empty());
  return 0;
}

} // namespace

int main(int /*argc*/, char** argv) {
  EXPECT(std::strlen(eqnn::version()) > 0 && std::strlen(eqnn::commit()) > 0);
  EXPECT(eqnn::precision_from_name("mixed") == eqnn::Precision::Mixed);
  EXPECT(eqnn::name_of(eqnn::Precision::Single) == "single");
  EXPECT(eqnn::products_from_name("grid") == "grid");
  EXPECT(eqnn::convolutions_from_name("aligned") == "aligned");
  EXPECT(eqnn::couplings_from_name("node") == "node");
  EXPECT(refusal([] { (void)eqnn::precision_from_name("half"); }) ==
         "precision \"half\", expected double, mixed or single.");
  EXPECT(refusal([] { (void)eqnn::Model::open("nowhere.eqnn"); }).find("nowhere.eqnn") == 0);
  EXPECT(refusal([] { (void)eqnn::Model::parse("no model", "a name"); }).find("a name") == 0);

  const eqnn::Model model = eqnn::Model::open(argv[1]);
  EXPECT(model.file() == argv[1] && model.sha256().size() == 64 && !model.family().empty());
  EXPECT(model.energy_semantics() == eqnn::EnergySemantics::Extensive);
  EXPECT(model.forces() == eqnn::ForceKind::Gradient);
  EXPECT(model.cutoff() > 0.0 && model.n_parameters() > 0 && !model.species().empty());
  EXPECT(model.provenance().front() == '{');
  EXPECT(model.exactly_equivariant() && model.equivariance_defect() < 1e-6);

  EXPECT(refusal([&] {
           eqnn::PotentialOptions gpu;
           gpu.device = eqnn::device_from_name("gpu");
           const eqnn::Potential none(model, gpu);
         }).find("no kernels for a GPU") != std::string::npos);
  eqnn::PotentialOptions options;
  options.energy_zero = eqnn::EnergyZero::FreeAtoms;
  eqnn::Potential relative(model, options);
  eqnn::Potential made(model);
  eqnn::Potential potential(std::move(made));
  made = std::move(potential);
  potential = std::move(made);
  EXPECT(relative.energy_zero() == eqnn::EnergyZero::FreeAtoms);
  EXPECT(potential.free_atom_energies().size() == model.species().size());
  EXPECT(potential.max_row_width() > 0 && potential.n_threads() > 0);
  EXPECT(potential.bytes_used() > 0 && !potential.description().empty());
  EXPECT(potential.plan().find("energy += ") != std::string::npos);
  (void)potential.has_products();
  (void)potential.has_convolutions();
  (void)potential.has_factored_couplings();
  const eqnn::SelfTestResult tested = eqnn::run_self_tests(model, potential);
  EXPECT(tested.n_structures == static_cast<int>(model.self_tests().size()));
  eqnn::require_passed(tested, model, eqnn::Precision::Double);

  const eqnn::SelfTest& molecule = model.self_tests().front();
  const eqnn::EdgeList edges = eqnn::edges_of(
      molecule.numbers, molecule.positions, molecule.cell, model.species(), model.cutoff());
  eqnn::require_sound_edges(edges);
  const eqnn::Observables found = potential.evaluate(edges, {true, true, true});
  EXPECT(std::abs(found.energy - molecule.energy) < 1e-6);
  EXPECT(many(model, potential, edges) == 0);
  EXPECT(cut(model, molecule, found.energy) == 0);
  EXPECT(as_list(molecule, model.cutoff(), edges, potential) == 0);

  // The same with a ghost for each atom, which has all of its edges.
  eqnn::EdgeList ghosts = edges;
  ghosts.n_nodes *= 2;
  ghosts.species.insert(ghosts.species.end(), edges.species.begin(), edges.species.end());
  for (std::int32_t& source : ghosts.source) {
    source += edges.n_centers;
  }
  Images halo(edges.n_centers);
  const eqnn::Observables& other = potential.evaluate(ghosts, halo, {true, false, false});
  EXPECT(std::abs(other.energy - found.energy) < 1e-9);
  for (std::size_t k = 0; k < found.forces.size(); ++k) {
    EXPECT(std::abs(other.forces[k] + other.forces[found.forces.size() + k] - found.forces[k]) <
           1e-9);
  }
  EXPECT(refusal([&] { (void)potential.evaluate(ghosts); }).find("ghosts") != std::string::npos);
  ghosts.source.front() = 1000;
  EXPECT(refusal([&] { eqnn::require_sound_edges(ghosts); }).find("EdgeList::source[0] is 1000") ==
         0);
  return 0;
}
