// SPDX-License-Identifier: BSD-3-Clause
// Fuzz target of the model reader. The first byte of an input says what the rest is: 'f', a whole file; 'd', the JSON document of a
// file with the tensors of a golden model and the right hash, so that the fuzzer gets past the container and the hash.
// libFuzzer: `make fuzz`. Without it, replay.cpp runs what was found through this function as a test.
#include "base/error.hpp"
#include "model/model_file.hpp"

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const eqnn::Safetensors golden = eqnn::parse_safetensors(
      eqnn::read_file(std::string(EQNN_TEST_DATA) + "/golden/tdn/model_l1_h16_b1.eqnn"), "golden");
  if (size == 0) {
    return 0;
  }
  const std::string rest(reinterpret_cast<const char*>(data) + 1, size - 1);
  try {
    if (data[0] == 'f') {
      (void)eqnn::parse_model(rest, "fuzz");
    } else if (data[0] == 'd') {
      eqnn::Safetensors content = golden;
      content.metadata["eqnn"] = rest;
      (void)eqnn::interpret_model(content, "fuzz");
    }
  } catch (const eqnn::Error& error) {
    // Every refusal is a sentence with the file's name; anything else that is thrown ends the run.
    if (std::string(error.what()).rfind("fuzz: ", 0) != 0) {
      std::abort();
    }
  }
  return 0;
}
