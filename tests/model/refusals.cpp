// SPDX-License-Identifier: BSD-3-Clause
// Each file of refusals/ makes a good model a bad one, and says with which words it is refused.
// README.md has the form of the files; tests/python/test_refusals.py runs them through the C
// interface.
#include "base/error.hpp"
#include "support/model_writer.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <limits>

namespace eqnn::test {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;

const fs::path kTests = EQNN_TEST_DATA;

std::vector<std::string> names_in(const fs::path& folder) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder)) {
    names.push_back(entry.path().stem().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

double number(const json& value) {
  if (value.is_number()) {
    return value.get<double>();
  }
  const auto text = value.get<std::string>();
  const double infinity = std::numeric_limits<double>::infinity();
  if (text == "nan") {
    return std::numeric_limits<double>::quiet_NaN();
  }
  return text == "inf" ? infinity : (text == "-inf" ? -infinity : throw std::out_of_range(text));
}

template <class T> std::string bytes_of(const std::vector<double>& values) {
  std::string bytes(values.size() * sizeof(T), '\0');
  for (std::size_t k = 0; k < values.size(); ++k) {
    const auto value = static_cast<T>(values[k]);
    std::memcpy(&bytes[k * sizeof(T)], &value, sizeof(T));
  }
  return bytes;
}

/// Bytes of values as the type stores them.
std::string stored_bytes(const std::string& dtype, const std::vector<double>& values) {
  if (dtype == "F64") {
    return bytes_of<double>(values);
  }
  if (dtype == "F32") {
    return bytes_of<float>(values);
  }
  if (dtype == "I32") {
    return bytes_of<std::int32_t>(values);
  }
  if (dtype == "F16") {
    return std::string(2 * values.size(), '\0'); // zeros: its type is what is refused
  }
  throw std::out_of_range(dtype);
}

void change_tensor(ModelParts& parts, const std::string& name, const json& change) {
  if (change.is_null()) {
    ASSERT_EQ(parts.tensors.erase(name), 1U) << name;
    return;
  }
  StoredTensor& stored = parts.tensors[name];
  if (change.contains("dtype")) {
    stored.dtype = change.at("dtype").get<std::string>();
  }
  if (change.contains("values")) {
    stored.tensor.shape = change.at("shape").get<std::vector<std::int64_t>>();
    std::size_t n = 1;
    for (const auto extent : stored.tensor.shape) {
      n *= static_cast<std::size_t>(extent);
    }
    const json& values = change.at("values");
    stored.tensor.values.clear();
    for (std::size_t k = 0; k < n; ++k) {
      stored.tensor.values.push_back(number(values.is_array() ? values.at(k) : values));
    }
    stored.bytes = stored_bytes(stored.dtype, stored.tensor.values);
  }
  if (change.contains("set")) {
    for (const auto& [index, value] : change.at("set").items()) {
      stored.tensor.values.at(std::stoul(index)) = number(value);
    }
    stored.bytes = stored_bytes(stored.dtype, stored.tensor.values);
  }
}

std::string refusal(const std::string& bytes) {
  try {
    (void)parse_model(bytes, "test.eqnn");
    return "";
  } catch (const Error& error) {
    return error.what();
  }
}

class RefusedModel : public testing::TestWithParam<std::string> {};

TEST_P(RefusedModel, IsRefusedInTheseWords) {
  std::ifstream file(kTests / "model" / "refusals" / (GetParam() + ".json"));
  const json given = json::parse(file);
  ModelParts parts =
      take_apart(read_file((kTests / given.at("model").get<std::string>()).string()));
  ASSERT_EQ(refusal(put_together(parts)), "") << "the model is not good before it is changed";
  if (given.contains("document")) {
    parts.document = parts.document.patch(given.at("document"));
  }
  if (given.contains("tensors")) {
    for (const auto& [name, change] : given.at("tensors").items()) {
      change_tensor(parts, name, change);
    }
  }
  const std::string message = refusal(put_together(parts));
  EXPECT_EQ(message, "test.eqnn: " + given.at("expected").get<std::string>());
  EXPECT_LE(std::count(message.begin(), message.end(), '\n'), 1);
}

INSTANTIATE_TEST_SUITE_P(All,
                         RefusedModel,
                         testing::ValuesIn(names_in(kTests / "model" / "refusals")),
                         [](const auto& of) { return of.param; });

class GoodModel : public testing::TestWithParam<std::string> {};

TEST_P(GoodModel, IsRead) {
  EXPECT_EQ(refusal(read_file((kTests / "model" / "good" / (GetParam() + ".eqnn")).string())), "");
}

INSTANTIATE_TEST_SUITE_P(All,
                         GoodModel,
                         testing::ValuesIn(names_in(kTests / "model" / "good")),
                         [](const auto& of) { return of.param; });

} // namespace
} // namespace eqnn::test
