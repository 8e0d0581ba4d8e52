// SPDX-License-Identifier: BSD-3-Clause
#include "model/safetensors.hpp"

#include "base/error.hpp"
#include "model/json_reader.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <ios>
#include <iterator>
#include <limits>
#include <string_view>
#include <system_error>
#include <utility>

namespace eqnn {
namespace {

constexpr std::uint64_t kLengthBytes = 8;
constexpr std::uint64_t kLongestHeader = 100'000'000; // the limit of the safetensors library

template <class Stored> void widen(const std::string& bytes, std::vector<double>& values) {
  for (std::size_t k = 0; k < values.size(); ++k) {
    Stored stored{};
    std::memcpy(&stored, bytes.data() + k * sizeof(Stored), sizeof(Stored));
    values[k] = static_cast<double>(stored);
  }
}

struct DtypeTraits {
  const char* name;
  std::uint64_t size;
  void (*widen)(const std::string&, std::vector<double>&);
};

constexpr std::array<DtypeTraits, 5> kDtypes{{{"F64", 8, widen<double>},
                                              {"F32", 4, widen<float>},
                                              {"I64", 8, widen<std::int64_t>},
                                              {"I32", 4, widen<std::int32_t>},
                                              {"BOOL", 1, widen<std::uint8_t>}}};

/// A range of bytes in the data: first, end.
using ByteRange = std::array<std::uint64_t, 2>;

/// Every byte of the data must belong to exactly one tensor, because the hash and other readers see
/// only tensors.
void require_no_gaps(std::vector<ByteRange> ranges, std::uint64_t n_data, const std::string& name) {
  ranges.push_back({n_data, n_data});
  std::sort(ranges.begin(), ranges.end());
  std::uint64_t end = 0;
  for (const ByteRange& range : ranges) {
    if (range[0] != end) {
      fail(name,
           ": bytes ",
           std::min(end, range[0]),
           " to ",
           std::max(end, range[0]),
           " of the data belong to ",
           range[0] > end ? "no tensor" : "two tensors",
           ", expected exactly one. The file is damaged: copy or export it again.");
    }
    end = range[1];
  }
}

StoredTensor read_tensor(const JsonReader& entry,
                         const std::string& bytes,
                         std::uint64_t data_begin,
                         std::vector<ByteRange>& ranges) {
  entry.allow_only({"dtype", "shape", "data_offsets"});
  StoredTensor stored;
  stored.dtype = entry.at("dtype").string();
  const auto* const dtype = std::find_if(
      kDtypes.begin(), kDtypes.end(), [&](const DtypeTraits& d) { return stored.dtype == d.name; });
  if (dtype == kDtypes.end()) {
    entry.error("type ",
                JsonReader::printable(stored.dtype),
                ", expected F64 or F32. Re-export the model.");
  }
  std::uint64_t n_bytes = dtype->size;
  for (const auto& extent : entry.at("shape").elements()) {
    const auto n =
        static_cast<std::uint64_t>(extent.integer(0, std::numeric_limits<std::int32_t>::max()));
    if (n != 0 && n_bytes > bytes.size() / n) {
      entry.error("shape ",
                  entry.at("shape").text().substr(0, 60),
                  " is larger than the file of ",
                  bytes.size(),
                  " bytes. The file is damaged: copy or export it again.");
    }
    n_bytes *= n;
    stored.tensor.shape.push_back(static_cast<std::int64_t>(n));
  }
  const auto offsets = entry.at("data_offsets").elements();
  if (offsets.size() != 2) {
    entry.error("data_offsets has ",
                offsets.size(),
                " numbers, expected 2. The file is damaged: copy or export it again.");
  }
  constexpr std::int64_t kMaxOffset = std::numeric_limits<std::int64_t>::max() / 2;
  ByteRange range{};
  for (std::size_t k = 0; k < 2; ++k) {
    const auto& offset = offsets[k].value();
    if (!offset.is_number_unsigned() ||
        offset.get<std::uint64_t>() > static_cast<std::uint64_t>(kMaxOffset)) {
      offsets[k].error("not a byte offset. The file is damaged: copy or export it again.");
    }
    range[k] = offset.get<std::uint64_t>();
  }
  const std::uint64_t n_data = bytes.size() - data_begin;
  if (range[0] > range[1] || range[1] > n_data || range[1] - range[0] != n_bytes) {
    entry.error("bytes ",
                range[0],
                " to ",
                range[1],
                " of ",
                n_data,
                ", expected ",
                n_bytes,
                " bytes. The file is truncated or damaged: copy or export it again.");
  }
  ranges.push_back(range);
  stored.bytes = bytes.substr(data_begin + range[0], n_bytes);
  stored.tensor.values.resize(n_bytes / dtype->size);
  dtype->widen(stored.bytes, stored.tensor.values);
  return stored;
}

/// Rejects files that start with text: a Git LFS pointer, an input script, a web page.
void refuse_text(const std::string& bytes, const std::string& name) {
  constexpr std::string_view kPointer = "version https://git-lfs";
  if (std::string_view(bytes).substr(0, kPointer.size()) == kPointer) {
    fail(name, ": is a Git LFS pointer, expected the model itself. Fetch it with `git lfs pull`.");
  }
  const auto is_text = [](char c) { return (c >= ' ' && c < 127) || c == '\n' || c == '\t'; };
  const std::string line = bytes.substr(0, bytes.find_first_of("\r\n"));
  if (std::all_of(line.begin(), line.end(), is_text)) {
    fail(name,
         ": is text that begins with \"",
         JsonReader::printable(line),
         "\", expected an eqnn model file. Name the .eqnn file; `eqnn export` makes one.");
  }
}

/// Rejects checkpoints of training codes. `eqnn export` makes models from them.
void refuse_checkpoint(const std::string& bytes, const std::string& name) {
  using namespace std::string_view_literals;
  constexpr std::array<std::pair<std::string_view, std::string_view>, 6> kMagic{
      {{"PK\x03\x04"sv, "a zip archive, as torch writes checkpoints and TorchScript"},
       {"\x80\x02"sv, "a pickle, as torch and Python write them"},
       {"\x80\x04"sv, "a pickle, as torch and Python write them"},
       {"\x80\x05"sv, "a pickle, as torch and Python write them"},
       {"\x89HDF"sv, "an HDF5 file"},
       {"\x1f\x8b"sv, "a gzip archive"}}};
  for (const auto& [magic, what] : kMagic) {
    if (std::string_view(bytes).substr(0, magic.size()) == magic) {
      fail(name,
           ": is ",
           what,
           ", expected an eqnn model file. Make one from a checkpoint with `eqnn export`.");
    }
  }
}

} // namespace

Safetensors parse_safetensors(const std::string& bytes, const std::string& name) {
  std::uint64_t n_header = 0;
  if (bytes.size() >= kLengthBytes) {
    std::memcpy(&n_header, bytes.data(), kLengthBytes);
  }
  if (bytes.size() < kLengthBytes || n_header > kLongestHeader ||
      n_header > bytes.size() - kLengthBytes) {
    if (bytes.empty()) {
      fail(name, ": is empty, expected an eqnn model file. Copy or export it again.");
    }
    refuse_checkpoint(bytes, name);
    refuse_text(bytes, name);
    fail(name,
         ": ",
         bytes.size(),
         " bytes with a header of ",
         n_header,
         ": not a safetensors file, or truncated. Copy or export the model again.");
  }
  const nlohmann::json header =
      parse_json(bytes.substr(kLengthBytes, n_header), name + ": safetensors header");
  const JsonReader reader(header, name, "");
  if (!header.is_object()) {
    reader.error("the safetensors header is not a JSON object. Copy or export the model again.");
  }
  Safetensors content;
  std::vector<ByteRange> ranges;
  for (const auto& [key, value] : header.items()) {
    const JsonReader entry(value, name, "/" + JsonReader::printable(key));
    if (key == "__metadata__") {
      if (!value.is_object()) {
        entry.error("not a JSON object. The file is damaged: copy or export it again.");
      }
      for (const auto& [meta_key, meta_value] : value.items()) {
        content.metadata[meta_key] =
            JsonReader(meta_value, name, "/__metadata__/" + JsonReader::printable(meta_key))
                .string();
      }
    } else {
      if (JsonReader::has_control(key)) {
        entry.error(
            "the tensor's name has a control character, expected a name on one line. Re-export "
            "the model.");
      }
      content.tensors[key] = read_tensor(entry, bytes, kLengthBytes + n_header, ranges);
    }
  }
  require_no_gaps(std::move(ranges), bytes.size() - kLengthBytes - n_header, name);
  return content;
}

std::string read_file(const std::string& path) {
  if (path.empty()) {
    fail("the path of the model is empty, expected that of a .eqnn file. Name the file.");
  }
  std::error_code ignored;
  if (std::filesystem::is_directory(path, ignored)) {
    fail(path, ": is a folder, expected a model file. Name the file in it.");
  }
  std::ifstream file(path, std::ios::binary);
  if (!file) {
    fail(path,
         std::filesystem::exists(path, ignored) ? ": cannot be opened. Check its permissions."
                                                : ": no such file. Check the path.");
  }
  try {
    return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  } catch (const std::ios_base::failure&) { // checked here: reading the buffer does not set the
                                            // stream's state
    fail(path, ": cannot be read completely. Check the disk.");
  }
}

} // namespace eqnn
