// SPDX-License-Identifier: BSD-3-Clause
#include "model/json_reader.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>

namespace eqnn {

nlohmann::json parse_json(const std::string& text, const std::string& where) {
  std::vector<std::set<std::string>> keys;
  const auto watch = [&](int, nlohmann::json::parse_event_t event, nlohmann::json& parsed) {
    if (event == nlohmann::json::parse_event_t::object_start) {
      keys.emplace_back();
    } else if (event == nlohmann::json::parse_event_t::object_end) {
      keys.pop_back();
    } else if (event == nlohmann::json::parse_event_t::key) {
      if (!keys.back().insert(parsed.get<std::string>()).second) {
        fail(where,
             ": key ",
             parsed.dump(),
             " occurs twice in one object, expected once. Re-export the model.");
      }
    }
    return true;
  };
  try {
    return nlohmann::json::parse(text, watch);
  } catch (const nlohmann::json::exception& error) {
    fail(where,
         ": not valid JSON (",
         error.what(),
         "). The file is damaged: copy or export it again.");
  }
}

bool JsonReader::is_null() const { return value_->is_null(); }

bool JsonReader::is_array() const { return value_->is_array(); }

std::string JsonReader::text() const { return value_->dump(); }

bool JsonReader::has(const std::string& key) const { return value_->contains(key); }

std::size_t JsonReader::size() const { return value_->size(); }

JsonReader JsonReader::at(const std::string& key) const {
  expect_object();
  const auto found = value_->find(key);
  if (found == value_->end()) {
    error("key \"", key, "\" is missing. Re-export the model with this version of eqnn.");
  }
  return {*found, file_, path_ + "/" + key};
}

void JsonReader::allow_only(const std::set<std::string>& keys) const {
  expect_object();
  for (const auto& [key, unused] : value_->items()) {
    if (keys.count(key) == 0) {
      error("unknown key \"",
            printable(key),
            "\". This reader knows format version 1: update eqnn or re-export the model.");
    }
  }
}

std::vector<JsonReader> JsonReader::elements() const {
  if (!value_->is_array()) {
    error("found ", kind(), ", expected an array. Re-export the model.");
  }
  std::vector<JsonReader> list;
  list.reserve(value_->size());
  for (std::size_t k = 0; k < value_->size(); ++k) {
    list.emplace_back((*value_)[k], file_, path_ + "/" + std::to_string(k));
  }
  return list;
}

std::string JsonReader::string() const {
  if (!value_->is_string()) {
    error("found ", kind(), ", expected a string. Re-export the model.");
  }
  return value_->get<std::string>();
}

std::string JsonReader::name() const {
  std::string found = string();
  if (has_control(found)) {
    error("found \"",
          printable(found),
          "\" with a control character, expected a name on one line. Re-export the model.");
  }
  return found;
}

bool JsonReader::boolean() const {
  if (!value_->is_boolean()) {
    error("found ", kind(), ", expected true or false. Re-export the model.");
  }
  return value_->get<bool>();
}

double JsonReader::number() const {
  if (!value_->is_number()) {
    error("found ", kind(), ", expected a number. Re-export the model.");
  }
  const auto number = value_->get<double>();
  if (!std::isfinite(number)) {
    error("found ", number, ", expected a finite number. Re-export the model.");
  }
  return number;
}

double JsonReader::positive() const {
  const double found = number();
  if (!(found > 0.0)) {
    error("found ", found, ", expected a number above 0. Re-export the model.");
  }
  return found;
}

std::int32_t JsonReader::integer(std::int64_t low, std::int64_t high) const {
  const bool fits = value_->is_number_unsigned()
                        ? value_->get<std::uint64_t>() <= static_cast<std::uint64_t>(high)
                        : value_->is_number_integer();
  if (!fits || value_->get<std::int64_t>() < low || value_->get<std::int64_t>() > high) {
    error("found ",
          printable(value_->dump()),
          ", expected an integer from ",
          low,
          " to ",
          high,
          ". Re-export the model.");
  }
  return static_cast<std::int32_t>(value_->get<std::int64_t>());
}

std::string JsonReader::word(const std::set<std::string>& words) const {
  std::string found = string();
  if (words.count(found) == 0) {
    std::string list;
    for (const auto& word : words) {
      list += (list.empty() ? "\"" : ", \"") + word + "\"";
    }
    error("found \"", printable(found), "\", expected one of ", list, ". Re-export the model.");
  }
  return found;
}

bool JsonReader::has_control(const std::string& text) {
  // Unsigned, because bytes of UTF-8 are negative if char is signed.
  return std::any_of(text.begin(), text.end(), [](unsigned char c) { return c < ' ' || c == 127; });
}

std::string JsonReader::printable(const std::string& text) {
  constexpr std::size_t kLongest = 64;
  std::string clean;
  for (const char c : text.substr(0, kLongest)) {
    clean += (c >= ' ' && c < 127) ? c : '?';
  }
  return text.size() > kLongest ? clean + "..." : clean;
}

void JsonReader::expect_object() const {
  if (!value_->is_object()) {
    error("found ", kind(), ", expected an object. Re-export the model.");
  }
}

std::string JsonReader::kind() const { return std::string(value_->type_name()); }

} // namespace eqnn
