// SPDX-License-Identifier: BSD-3-Clause
// Fuzz target of the model reader. The first byte of an input says what the rest is: 'f', a whole file; another letter, the JSON document
// of a file with the tensors of that letter's golden model and the right hash, so that the fuzzer gets past the container and the hash.
// libFuzzer: `make fuzz`. Without it, replay.cpp runs what was found through this function as a test.
#include "base/error.hpp"
#include "model/model_file.hpp"

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <map>
#include <string>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto golden = [](const char* name) {
    return eqnn::parse_safetensors(
        eqnn::read_file(std::string(EQNN_TEST_DATA) + "/golden/" + name + ".eqnn"), "golden");
  };
  // Between them they have all stages but those that no published network uses.
  static std::map<char, eqnn::Safetensors> models{{'d', golden("tdn/model_l1_h16_b1")},
                                                  {'m', golden("mace/mace_heads.pbe")},
                                                  {'g', golden("mace_gaunt/mg_l2_h8_c2")},
                                                  {'n', golden("pretrained/nequix_norm")}};
  if (size == 0) {
    return 0;
  }
  const std::string rest(reinterpret_cast<const char*>(data) + 1, size - 1);
  try {
    if (data[0] == 'f') {
      (void)eqnn::parse_model(rest, "fuzz");
    } else if (const auto model = models.find(static_cast<char>(data[0])); model != models.end()) {
      model->second.metadata["eqnn"] = rest;
      (void)eqnn::interpret_model(model->second, "fuzz");
    }
  } catch (const eqnn::Error& error) {
    // Every refusal is a sentence with the file's name; anything else that is thrown ends the run.
    if (std::string(error.what()).rfind("fuzz: ", 0) != 0) {
      std::abort();
    }
  }
  return 0;
}
