// SPDX-License-Identifier: BSD-3-Clause
#pragma once

namespace eqnn {

/// e^2 / (4 pi eps_0) in eV Angstrom, with the digits used by published ZBL stages.
inline constexpr double kCoulomb = 14.3996;

} // namespace eqnn
