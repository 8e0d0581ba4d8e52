// SPDX-License-Identifier: BSD-3-Clause
#include "eqnn/model.hpp"

#include "model/cut_species.hpp"
#include "model/model_file.hpp"

#include <utility>

namespace eqnn {

Model Model::open(const std::string& path) { return Model(read_model(path)); }

Model Model::parse(const std::string& bytes, const std::string& name) {
  return Model(parse_model(bytes, name));
}

Model::Model(ModelSpec spec)
    : spec_(std::make_shared<const ModelSpec>(std::move(spec))) {}

Model Model::with_species(const std::vector<std::int32_t>& atomic_numbers) const {
  return Model(cut_species(*spec_, atomic_numbers));
}

const std::string& Model::file() const { return spec_->file; }

const std::string& Model::sha256() const { return spec_->sha256; }

const std::string& Model::family() const { return spec_->family; }

const std::vector<std::int32_t>& Model::species() const { return spec_->species; }

double Model::cutoff() const { return spec_->cutoff; }

EnergySemantics Model::energy_semantics() const { return spec_->energy.semantics; }

ForceKind Model::forces() const { return spec_->forces; }

bool Model::exactly_equivariant() const { return spec_->exactly_equivariant; }

double Model::equivariance_defect() const { return spec_->equivariance_defect; }

std::int64_t Model::n_parameters() const { return spec_->n_parameters; }

const std::vector<SelfTest>& Model::self_tests() const { return spec_->self_tests; }

const std::string& Model::provenance() const { return spec_->provenance; }

} // namespace eqnn
