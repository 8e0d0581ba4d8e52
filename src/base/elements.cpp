// SPDX-License-Identifier: BSD-3-Clause
#include "base/elements.hpp"

#include "base/error.hpp"

#include <algorithm>
#include <array>

namespace eqnn {
namespace {

constexpr std::array<std::string_view, kHeaviestElement> kSymbols{
    "H",  "He", "Li", "Be", "B",  "C",  "N",  "O",  "F",  "Ne", "Na", "Mg", "Al", "Si", "P",
    "S",  "Cl", "Ar", "K",  "Ca", "Sc", "Ti", "V",  "Cr", "Mn", "Fe", "Co", "Ni", "Cu", "Zn",
    "Ga", "Ge", "As", "Se", "Br", "Kr", "Rb", "Sr", "Y",  "Zr", "Nb", "Mo", "Tc", "Ru", "Rh",
    "Pd", "Ag", "Cd", "In", "Sn", "Sb", "Te", "I",  "Xe", "Cs", "Ba", "La", "Ce", "Pr", "Nd",
    "Pm", "Sm", "Eu", "Gd", "Tb", "Dy", "Ho", "Er", "Tm", "Yb", "Lu", "Hf", "Ta", "W",  "Re",
    "Os", "Ir", "Pt", "Au", "Hg", "Tl", "Pb", "Bi", "Po", "At", "Rn", "Fr", "Ra", "Ac", "Th",
    "Pa", "U",  "Np", "Pu", "Am", "Cm", "Bk", "Cf", "Es", "Fm", "Md", "No", "Lr", "Rf", "Db",
    "Sg", "Bh", "Hs", "Mt", "Ds", "Rg", "Cn", "Nh", "Fl", "Mc", "Lv", "Ts", "Og"};

} // namespace

std::string element_symbol(int atomic_number) {
  if (atomic_number < 1 || atomic_number > kHeaviestElement) {
    fail("atomic number ", atomic_number, ", expected 1 to ", kHeaviestElement);
  }
  return std::string(kSymbols[static_cast<std::size_t>(atomic_number - 1)]);
}

int atomic_number(std::string_view symbol) {
  const auto* const found = std::find(kSymbols.begin(), kSymbols.end(), symbol);
  return found == kSymbols.end() ? 0 : static_cast<int>(found - kSymbols.begin()) + 1;
}

} // namespace eqnn
