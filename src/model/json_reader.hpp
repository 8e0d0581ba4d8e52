// SPDX-License-Identifier: BSD-3-Clause
// A JSON value with its file and its path in the document, so that every error message can name
// both. Private to src/model.
#pragma once

#include "base/error.hpp"

#include <nlohmann/json_fwd.hpp>

#include <cstddef>
#include <cstdint>
#include <set>
#include <string>
#include <vector>

namespace eqnn {

/// Parses text. Throws Error for invalid JSON and for duplicate keys, because JSON libraries
/// silently keep only one of them.
nlohmann::json parse_json(const std::string& text, const std::string& where);

class JsonReader {
public:
  JsonReader(const nlohmann::json& value, std::string file, std::string path)
      : value_(&value)
      , file_(std::move(file))
      , path_(std::move(path)) {}

  template <class... Parts> [[noreturn]] void error(const Parts&... parts) const {
    fail(file_, ": ", path_.empty() ? "/" : path_, ": ", parts...);
  }

  const nlohmann::json& value() const { return *value_; }

  const std::string& path() const { return path_; }

  bool is_null() const;
  bool is_array() const;
  /// The value as JSON text.
  std::string text() const;

  /// A required member of an object.
  JsonReader at(const std::string& key) const;
  bool has(const std::string& key) const;
  /// Number of members or elements.
  std::size_t size() const;
  /// Throws Error for members that are not among `keys`.
  void allow_only(const std::set<std::string>& keys) const;

  std::vector<JsonReader> elements() const;
  std::string string() const;
  /// A string. Throws Error if it has control characters, so that text from a file stays on one
  /// line in messages and tables.
  std::string name() const;
  bool boolean() const;
  double number() const;
  double positive() const;
  std::int32_t integer(std::int64_t low, std::int64_t high) const;
  /// A string. Throws Error if it is not one of `words`.
  std::string word(const std::set<std::string>& words) const;

  /// Whether a text has control characters, such as a newline.
  static bool has_control(const std::string& text);
  /// The beginning of a text from a file, for messages. Long enough for a whole hash.
  static std::string printable(const std::string& text);

private:
  void expect_object() const;
  std::string kind() const;

  const nlohmann::json* value_;
  std::string file_, path_;
};

} // namespace eqnn
