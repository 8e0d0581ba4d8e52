// SPDX-License-Identifier: BSD-3-Clause
// The container of a model file: what is damaged, cut or no model is refused. What may stand in it: refusals.cpp.
#include "model/model_file.hpp"

#include "base/error.hpp"
#include "eqnn/model.hpp"
#include "support/model_writer.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <limits>

namespace eqnn::test {
namespace {

using nlohmann::json;

const std::string& good_bytes() {
  static const std::string bytes =
      read_file(std::string(EQNN_TEST_DATA) + "/golden/tdn/model_l1_h16_b1.eqnn");
  return bytes;
}

void expect_in(const std::string& text, const std::string& message) {
  EXPECT_NE(message.find(text), std::string::npos)
      << "expected: " << text << "\nfound:    " << message;
}

/// The message with which parse_model refuses the bytes; empty if it takes them.
std::string refusal(const std::string& bytes) {
  try {
    (void)parse_model(bytes, "test.eqnn");
    return "";
  } catch (const Error& error) {
    return error.what();
  }
}

TEST(ModelFile, AGoodFileIsRead) {
  const ModelSpec model = parse_model(good_bytes(), "test.eqnn");
  EXPECT_EQ(model.species, (std::vector<std::int32_t>{1, 6, 7, 8}));
  EXPECT_EQ(model.l_max, 1);
  EXPECT_EQ(model.cutoff, 4.5);
  EXPECT_EQ(model.sha256.size(), 64U);
  EXPECT_GT(model.n_parameters, 1000);
}

TEST(ModelFile, TakenApartAndPutTogetherIsTheSame) {
  EXPECT_EQ(refusal(put_together(take_apart(good_bytes()))), "");
}

TEST(ModelFile, EveryTruncationIsRefused) {
  const std::string& bytes = good_bytes();
  for (std::size_t n = 0; n < bytes.size(); n += 1 + n / 50) {
    EXPECT_NE(refusal(bytes.substr(0, n)), "") << n << " bytes";
  }
  expect_in("truncated or damaged", refusal(bytes.substr(0, bytes.size() - 1)));
  EXPECT_EQ(refusal(""),
            "test.eqnn: is empty, expected an eqnn model file. Copy or export it again.");
}

/// Other readers of the container refuse them, and no hash covers them.
TEST(ModelFile, BytesOfNoTensorAreRefused) {
  const std::string& bytes = good_bytes();
  expect_in("of the data belong to no tensor, expected exactly one", refusal(bytes + "ab"));
  // A tensor twice: its bytes belong to two.
  std::string header = R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},)"
                       R"("b":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})";
  std::string twice(8, '\0');
  twice[0] = static_cast<char>(header.size());
  expect_in("bytes 4 to 8 of the data belong to two tensors",
            refusal(twice + header + std::string(8, '\0')));
}

TEST(ModelFile, EveryFlippedBitOfTheWeightsIsNoticed) {
  const std::string& bytes = good_bytes();
  for (std::size_t at = bytes.size() - 20000; at < bytes.size(); at += 997) {
    std::string damaged = bytes;
    damaged[at] = static_cast<char>(damaged[at] ^ 4);
    expect_in("/__metadata__/eqnn_sha256: the content has SHA-256", refusal(damaged));
  }
}

TEST(ModelFile, OtherContainersAreRefused) {
  ModelParts parts = take_apart(good_bytes());
  expect_in("key \"eqnn\" is missing: this is not an eqnn model",
            refusal(container({}, parts.tensors)));
  expect_in("key \"eqnn_sha256\" is missing", refusal(container({{"eqnn", "{}"}}, parts.tensors)));
  expect_in(
      "unknown key \"more\"",
      refusal(container({{"eqnn", "{}"}, {"eqnn_sha256", "x"}, {"more", ""}}, parts.tensors)));
  expect_in("not a safetensors file, or truncated", refusal("\xffno model at all"));
  expect_in("not a JSON object", refusal(std::string("\x02\0\0\0\0\0\0\0[]", 10)));
  expect_in("/__metadata__: not a JSON object. The file is damaged: copy or export it again.",
            refusal(std::string("\x13\0\0\0\0\0\0\0{\"__metadata__\":[]}", 27)));
  expect_in("not valid JSON", refusal(std::string("\x05\0\0\0\0\0\0\0{\"a\":", 13)));
}

TEST(ModelFile, AFileWhoseReadingFailsIsNamed) {
  const std::string path = "/proc/self/mem"; // opens, and has no page at its beginning
  if (!std::filesystem::exists(path)) {
    GTEST_SKIP() << "no " << path;
  }
  try {
    Model::open(path);
    ADD_FAILURE() << "read";
  } catch (const Error& error) {
    EXPECT_EQ(error.what(), path + ": cannot be read completely. Check the disk.");
  }
}

TEST(ModelFile, CheckpointsAreRefusedWithTheCommandThatExportsThem) {
  using namespace std::string_literals;
  const std::string cure =
      "expected an eqnn model file. Make one from a checkpoint with `eqnn export`.";
  for (const auto& [magic, what] :
       {std::pair{"PK\x03\x04"s,
                  "is a zip archive, as torch writes checkpoints and TorchScript, "s},
        {"\x80\x02}q"s, "is a pickle, as torch and Python write them, "s},
        {"\x89HDF\r\n"s, "is an HDF5 file, "s},
        {"\x1f\x8b\x08"s, "is a gzip archive, "s}}) {
    expect_in(what + cure, refusal(magic + std::string(100, 'x')));
  }
}

TEST(ModelFile, TextIsNoModelAndIsShown) {
  EXPECT_EQ(refusal("# LAMMPS\nunits metal\n"),
            "test.eqnn: is text that begins with \"# LAMMPS\", expected an eqnn model file. Name "
            "the .eqnn file; `eqnn export` makes one.");
  expect_in("is text that begins with \"ab\"", refusal("ab")); // shorter than a header
  EXPECT_EQ(refusal("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"),
            "test.eqnn: is a Git LFS pointer, expected the model itself. Fetch it with `git lfs "
            "pull`.");
}

/// A file in which a number of the document is another text.
std::string with_number(const std::string& key, const std::string& text) {
  const ModelParts parts = take_apart(good_bytes());
  Safetensors content;
  content.tensors = parts.tensors;
  json document = parts.document;
  document["energy"][key] = 123456789;
  std::string dumped = document.dump();
  dumped.replace(dumped.find("123456789"), 9, text);
  content.metadata["eqnn"] = dumped;
  return container({{"eqnn", dumped}, {"eqnn_sha256", model_hash(content)}}, parts.tensors);
}

TEST(ModelFile, NumbersThatJsonDoesNotHaveAreRefused) {
  EXPECT_EQ(refusal(with_number("shift", "-1.5")), "");
  for (const char* text : {"1e999", "-1e999", "Infinity", "NaN", "inf"}) {
    for (const char* key : {"shift", "scale"}) {
      const std::string message = refusal(with_number(key, text));
      expect_in("test.eqnn: /__metadata__/eqnn: not valid JSON (", message);
      expect_in("The file is damaged: copy or export it again.", message);
      EXPECT_EQ(std::count(message.begin(), message.end(), '\n'), 0);
    }
  }
}

TEST(ModelFile, NamesOfTensorsStayOnTheirLine) {
  ModelParts parts = take_apart(good_bytes());
  parts.tensors["a\nb"] = parts.tensors.begin()->second;
  EXPECT_EQ(
      refusal(put_together(parts)),
      "test.eqnn: /a?b: the tensor's name has a control character, expected a name on one line. "
      "Re-export the model.");
}

TEST(ModelFile, AnEmptyPathIsNoFile) {
  try {
    (void)read_model("");
    FAIL() << "nothing was read";
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(),
                 "the path of the model is empty, expected that of a .eqnn file. Name the file.");
  }
}

TEST(ModelFile, FoldersAreNoModels) {
  try {
    (void)read_model(EQNN_TEST_DATA);
    FAIL() << "a folder was read";
  } catch (const Error& error) {
    expect_in(": is a folder, expected a model file. Name the file in it.", error.what());
  }
}

TEST(ModelFile, AHeaderThatLiesIsRefused) {
  const auto with_header = [](const std::string& header) {
    std::string out(8, '\0');
    const std::uint64_t n = header.size();
    std::memcpy(out.data(), &n, 8);
    return out + header + std::string(8, '\0');
  };
  const auto entry =
      [&](const std::string& dtype, const std::string& shape, const std::string& offsets) {
        return with_header("{\"a\":{\"dtype\":\"" + dtype + "\",\"shape\":" + shape +
                           ",\"data_offsets\":" + offsets + "}}");
      };
  expect_in("expected 8 bytes", refusal(entry("F64", "[1]", "[0,16]")));
  expect_in("expected 8 bytes", refusal(entry("F64", "[1]", "[8,0]")));
  expect_in("is larger than the file",
            refusal(entry("F64", "[2147483647,2147483647,2147483647]", "[0,8]")));
  expect_in("expected an integer from 0 to 2147483647",
            refusal(entry("F64", "[4294967296]", "[0,8]")));
  expect_in("expected an integer from 0", refusal(entry("F64", "[-1]", "[0,8]")));
  expect_in("data_offsets has 1 numbers, expected 2", refusal(entry("F64", "[1]", "[0]")));
  expect_in("not a byte offset", refusal(entry("F64", "[1]", "[0,-8]")));
  expect_in("type F16, expected F64 or F32", refusal(entry("F16", "[1]", "[0,2]")));
  expect_in("key \"a\" occurs twice", refusal(with_header("{\"a\":1,\"a\":2}")));
}

TEST(ModelFile, AFileThatIsNotThereIsNamed) {
  try {
    (void)read_model("no/such/model.eqnn");
    FAIL();
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "no/such/model.eqnn: no such file. Check the path.");
  }
}

} // namespace
} // namespace eqnn::test
