// SPDX-License-Identifier: BSD-3-Clause
// std::variant of what a list of stages names.
#pragma once

#include <variant>

namespace eqnn {
namespace detail {

template <class... Types> struct VariantOf;

template <class... Types> struct VariantOf<void, Types...> {
  using Type = std::variant<Types...>;
};

} // namespace detail

/// VariantOf<void, A, B> is std::variant<A, B>: a list made by a macro begins with a comma.
template <class... Types> using VariantOf = typename detail::VariantOf<Types...>::Type;

} // namespace eqnn
