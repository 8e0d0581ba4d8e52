// SPDX-License-Identifier: GPL-2.0-only

#include "type_map.h"

#include "base/elements.hpp"
#include "base/error.hpp"
#include "eqnn/model.hpp"

#include <algorithm>

std::vector<int> LAMMPS_NS::species_of_type(const eqnn::Model &model,
                                            const std::vector<std::string> &element_of_type)
{
  std::string known;
  for (const std::int32_t number : model.species()) known += " " + eqnn::element_symbol(number);

  std::vector<int> species(element_of_type.size(), -1);
  for (std::size_t type = 1; type < element_of_type.size(); type++) {
    const std::string &element = element_of_type[type];
    if (element.empty()) continue;
    const int number = eqnn::atomic_number(element);
    const auto found = std::find(model.species().begin(), model.species().end(), number);
    if (number == 0 || found == model.species().end())
      eqnn::fail("pair_coeff maps atom type ", type, " to '", element, "', but ", model.file(),
                 " knows only", known, ": name one of these, or NULL for atoms of other styles.");
    species[type] = static_cast<int>(found - model.species().begin());
  }
  return species;
}

std::vector<std::int32_t>
LAMMPS_NS::elements_in_use(const eqnn::Model &model,
                           const std::vector<std::string> &element_of_type)
{
  std::vector<std::int32_t> numbers;
  for (const int species : species_of_type(model, element_of_type))
    if (species >= 0) numbers.push_back(model.species()[species]);
  std::sort(numbers.begin(), numbers.end());
  numbers.erase(std::unique(numbers.begin(), numbers.end()), numbers.end());
  return numbers;
}
