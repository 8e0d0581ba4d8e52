// SPDX-License-Identifier: GPL-2.0-only

#include "style_settings.h"

#include "error.h"
#include "lammps.h"
#include "utils.h"

#include <algorithm>
#include <string>
#include <vector>

using namespace LAMMPS_NS;

namespace {

const std::vector<std::string> KEYWORDS = {"precision",   "allow",    "products", "convolutions",
                                           "couplings",   "device",   "edges",    "energy_zero",
                                           "check_edges", "self_test"};

}    // namespace

StyleSettings LAMMPS_NS::read_settings(LAMMPS *lmp, int narg, char **arg)
{
  Error *const error = lmp->error;
  StyleSettings said;
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
      else if (keyword == "couplings") said.options.couplings = eqnn::couplings_from_name(value);
      else if (keyword == "device") said.options.device = eqnn::device_from_name(value);
    } catch (const eqnn::Error &failure) {
      error->all(FLERR, "Pair style eqnn: {}", failure.what());
    }
    if (keyword == "allow") {
      if (is("mean-per-atom", "direct-forces")) said.allow_mean_per_atom = true;
      else said.allow_direct_forces = true;
    } else if (keyword == "energy_zero")
      said.options.energy_zero = is("model", "free_atoms") ? eqnn::EnergyZero::Model
                                                           : eqnn::EnergyZero::FreeAtoms;
    else if (keyword == "edges")
      said.edges = is("host", "device") ? EdgesWhere::Host : EdgesWhere::Device;
    else if (keyword == "check_edges")
      said.check_edges = utils::logical(FLERR, value, false, lmp) == 1;
    else if (keyword == "self_test") said.self_test = utils::logical(FLERR, value, false, lmp) == 1;
  }
  return said;
}
