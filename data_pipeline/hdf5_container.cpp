#include "data_pipeline/hdf5_container.h"

// Later HDF5 versions give the same names to other signatures unless told otherwise.
#define H5_USE_110_API
#include <hdf5.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <string_view>

#include "comm/base/error.h"
#include "data_pipeline/token_dataset.h"

namespace breakeven {
namespace {

constexpr std::array<std::string_view, 8> kDatasets = {
    "block_hashes", "example_ids",         "example_offsets", "groups",
    "num_targets",  "target_span_offsets", "target_spans",    "tokens"};
constexpr std::array<std::string_view, 7> kTextAttributes = {
    "split",  "tokenizer_fingerprint", "template_fingerprint", "config", "source_hashes",
    "counts", "content_hash"};
constexpr std::array<std::string_view, 2> kNumberAttributes = {"format", "vocab_size"};

constexpr const char* kRemedy = "; write the dataset with `breakeven prepare`";

Hdf5Id TypeOf(std::string_view name) {
  if (name == "uint16") return H5T_STD_U16LE;
  return name == "uint32" ? H5T_STD_U32LE : H5T_STD_U64LE;
}

struct Names {
  std::vector<std::string> names;
  bool all_hard = true;
};

herr_t CollectLink(hid_t /*group*/, const char* name, const H5L_info_t* info, void* data) {
  auto* names = static_cast<Names*>(data);
  names->names.emplace_back(name);
  if (info->type != H5L_TYPE_HARD) names->all_hard = false;
  return 0;
}

herr_t CollectAttribute(hid_t /*object*/, const char* name, const H5A_info_t* /*info*/,
                        void* data) {
  static_cast<Names*>(data)->names.emplace_back(name);
  return 0;
}

template <size_t n>
bool Contains(const std::array<std::string_view, n>& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

}  // namespace

Hdf5Container::Hdf5Container(const std::string& path, bool use_mmap) : path_(path) {
  const Hdf5Lock lock;
  try {
    Open();
    CheckMembers();
    if (use_mmap) Map();
  } catch (...) {
    file_.Close();  // while the lock is held
    throw;
  }
}

Hdf5Container::~Hdf5Container() {
  if (map_ != nullptr) munmap(const_cast<char*>(map_), static_cast<size_t>(file_bytes_));
  const Hdf5Lock lock;
  tokens_.Close();
  file_.Close();
}

void Hdf5Container::Fail(const std::string& message) const {
  throw Error(ErrorKind::kBadData, path_ + ": " + message);
}

void Hdf5Container::Open() {
  // HDF5 would call a file that it may not read no HDF5 file.
  struct stat info;
  if (::stat(path_.c_str(), &info) != 0 || ::access(path_.c_str(), R_OK) != 0) {
    Fail(std::string("cannot open: ") + std::strerror(errno));
  }
  if (!S_ISREG(info.st_mode)) Fail("not a file; expected a dataset that `breakeven prepare` wrote");
  file_bytes_ = info.st_size;
  if (H5Fis_hdf5(path_.c_str()) <= 0) {
    Fail(file_bytes_ == 0 ? "empty file; expected an HDF5 token dataset"
                          : "not an HDF5 file; expected a dataset that `breakeven prepare` wrote");
  }
  const Hdf5Handle access(H5Pcreate(H5P_FILE_ACCESS), H5Pclose);
  // A finished dataset never changes, and not every cluster's file system has locks.
  H5Pset_file_locking(access.id(), false, true);
  H5Pset_fclose_degree(access.id(), H5F_CLOSE_STRONG);
  H5Pset_fapl_sec2(access.id());  // Map() takes its file descriptor, whatever HDF5_DRIVER says
  file_ = Hdf5Handle(H5Fopen(path_.c_str(), H5F_ACC_RDONLY, access.id()), H5Fclose);
  if (!file_.valid()) Fail("cannot open as HDF5, truncated or damaged: " + Hdf5Reason());
  haddr_t end = 0;
  if (H5Fget_eoa(file_.id(), &end) < 0 || static_cast<int64_t>(end) != file_bytes_) {
    Fail("the file has " + std::to_string(file_bytes_) + " bytes, its header says " +
         std::to_string(end) + ": truncated or damaged; copy it again");
  }
}

// What is not in the list would be covered by no hash, and soft or external links lead out of the
// file.
void Hdf5Container::CheckMembers() const {
  Names attributes;
  hsize_t at = 0;
  if (H5Aiterate2(file_.id(), H5_INDEX_NAME, H5_ITER_INC, &at, CollectAttribute, &attributes) < 0) {
    Fail("cannot read the attributes, the file is damaged: " + Hdf5Reason());
  }
  const auto has = [](const Names& names, std::string_view name) {
    return std::find(names.names.begin(), names.names.end(), name) != names.names.end();
  };
  if (!has(attributes, "format")) {
    Fail(std::string("an HDF5 file of another kind: it has no attribute 'format'") + kRemedy);
  }
  Names links;
  at = 0;
  if (H5Literate(file_.id(), H5_INDEX_NAME, H5_ITER_INC, &at, CollectLink, &links) < 0) {
    Fail("cannot read the list of datasets, the file is damaged: " + Hdf5Reason());
  }
  if (!links.all_hard) Fail(std::string("links out of the file are refused") + kRemedy);
  for (const std::string& name : links.names) {
    if (!Contains(kDatasets, name)) Fail("'/" + name + "' does not belong to format 1" + kRemedy);
  }
}

void Hdf5Container::Map() {
  const Hdf5Handle access(H5Fget_access_plist(file_.id()), H5Pclose);
  void* handle = nullptr;
  // The descriptor that HDF5 has open: a file that is replaced meanwhile cannot come between.
  if (H5Fget_vfd_handle(file_.id(), access.id(), &handle) < 0) {
    Fail("cannot map the file: " + Hdf5Reason());
  }
  void* map = mmap(nullptr, static_cast<size_t>(file_bytes_), PROT_READ, MAP_SHARED,
                   *static_cast<int*>(handle), 0);
  if (map == MAP_FAILED) {
    if (errno == ENODEV) return;  // a file system without mmap
    throw Error(ErrorKind::kIo, path_ + ": cannot map the file: " + std::strerror(errno));
  }
  map_ = static_cast<const char*>(map);
}

std::map<std::string, std::string> Hdf5Container::Attributes() const {
  const Hdf5Lock lock;
  std::map<std::string, std::string> values;
  const auto open = [this](std::string_view name) {
    Hdf5Handle attribute(H5Aopen(file_.id(), std::string(name).c_str(), H5P_DEFAULT), H5Aclose);
    if (!attribute.valid()) Fail("attribute '" + std::string(name) + "' is missing" + kRemedy);
    const Hdf5Handle space(H5Aget_space(attribute.id()), H5Sclose);
    if (H5Sget_simple_extent_type(space.id()) != H5S_SCALAR) {
      Fail("attribute '" + std::string(name) + "' is not a single value" + kRemedy);
    }
    return attribute;
  };
  for (const std::string_view name : kNumberAttributes) {
    const Hdf5Handle attribute = open(name);
    const Hdf5Handle type(H5Aget_type(attribute.id()), H5Tclose);
    int64_t value = 0;
    if (H5Tequal(type.id(), H5T_STD_I64LE) <= 0 ||
        H5Aread(attribute.id(), H5T_NATIVE_INT64, &value) < 0) {
      Fail("attribute '" + std::string(name) + "' is not a 64-bit number" + kRemedy);
    }
    if (name == "format" && value != kTokenDatasetFormat) {
      Fail("dataset format " + std::to_string(value) + "; this program reads format " +
           std::to_string(kTokenDatasetFormat) + kRemedy);
    }
    values[std::string(name)] = std::to_string(value);
  }
  for (const std::string_view name : kTextAttributes) {
    const Hdf5Handle attribute = open(name);
    const Hdf5Handle type(H5Aget_type(attribute.id()), H5Tclose);
    const size_t size = H5Tget_size(type.id());
    if (H5Tget_class(type.id()) != H5T_STRING || H5Tis_variable_str(type.id()) != 0 || size == 0 ||
        static_cast<int64_t>(size) > file_bytes_) {
      Fail("attribute '" + std::string(name) + "' is not a text of fixed length" + kRemedy);
    }
    std::string text(size, '\0');
    if (H5Aread(attribute.id(), type.id(), text.data()) < 0) {
      Fail("attribute '" + std::string(name) + "': " + Hdf5Reason());
    }
    text.resize(text.find_last_not_of('\0') + 1);
    values[std::string(name)] = text;
  }
  H5O_info_t info;
  if (H5Oget_info2(file_.id(), &info, H5O_INFO_NUM_ATTRS) < 0 || info.num_attrs != values.size()) {
    Fail(std::string("attributes that do not belong to format 1 are refused") + kRemedy);
  }
  return values;
}

Hdf5Handle Hdf5Container::OpenDataset(const char* name) const {
  Hdf5Handle dataset(H5Dopen2(file_.id(), name, H5P_DEFAULT), H5Dclose);
  if (!dataset.valid()) {
    Fail(std::string("dataset '/") + name + "' is missing or damaged: " + Hdf5Reason());
  }
  return dataset;
}

Hdf5Container::Place Hdf5Container::Locate(const Hdf5Handle& dataset, const char* name,
                                           const char* type, int64_t columns) const {
  const std::string where = std::string("/") + name + ": ";
  const Hdf5Handle creation(H5Dget_create_plist(dataset.id()), H5Pclose);
  if (H5Pget_external_count(creation.id()) != 0) {
    Fail(where + "its values lie in another file (external storage), which is refused");
  }
  if (H5Pget_nfilters(creation.id()) != 0) {
    Fail(where + "a filter (compression, checksum) is refused: it cannot be read by mapping");
  }
  if (H5Pget_layout(creation.id()) != H5D_CONTIGUOUS) Fail(where + "expected contiguous layout");
  const Hdf5Handle file_type(H5Dget_type(dataset.id()), H5Tclose);
  if (H5Tequal(file_type.id(), TypeOf(type)) <= 0) {
    Fail(where + "expected elements of type " + type + ", little-endian");
  }
  const Hdf5Handle space(H5Dget_space(dataset.id()), H5Sclose);
  const int rank = columns > 1 ? 2 : 1;
  hsize_t shape[2] = {0, 1};
  if (H5Sget_simple_extent_ndims(space.id()) != rank ||
      H5Sget_simple_extent_dims(space.id(), shape, nullptr) != rank ||
      (rank == 2 && shape[1] != static_cast<hsize_t>(columns))) {
    Fail(where + "expected " + (rank == 1 ? "one dimension" : "rows of two elements"));
  }
  const auto row_bytes = static_cast<int64_t>(H5Tget_size(file_type.id())) * columns;
  if (shape[0] > static_cast<hsize_t>(file_bytes_ / row_bytes)) {
    Fail(where + std::to_string(shape[0]) + " rows do not fit into a file of " +
         std::to_string(file_bytes_) + " bytes");
  }
  Place place;
  place.num_rows = static_cast<int64_t>(shape[0]);
  place.num_bytes = place.num_rows * row_bytes;
  if (place.num_rows == 0) return place;
  const haddr_t offset = H5Dget_offset(dataset.id());
  if (offset == HADDR_UNDEF || offset > static_cast<haddr_t>(file_bytes_) ||
      place.num_bytes > file_bytes_ - static_cast<int64_t>(offset)) {
    Fail(where + "its values lie outside of the file");
  }
  place.offset_bytes = static_cast<int64_t>(offset);
  return place;
}

std::pair<const void*, int64_t> Hdf5Container::Load(const char* name, const char* type,
                                                    int64_t columns, size_t row_bytes) {
  const Hdf5Lock lock;
  const Hdf5Handle dataset = OpenDataset(name);
  const Place place = Locate(dataset, name, type, columns);
  BE_CHECK(place.num_rows * static_cast<int64_t>(row_bytes) == place.num_bytes, name);
  if (map_ != nullptr && place.offset_bytes % 8 == 0) {
    return {map_ + place.offset_bytes, place.num_rows};
  }
  std::vector<char>& copy = copies_.emplace_back(static_cast<size_t>(place.num_bytes));
  if (place.num_rows > 0 &&
      H5Dread(dataset.id(), TypeOf(type), H5S_ALL, H5S_ALL, H5P_DEFAULT, copy.data()) < 0) {
    Fail(std::string("/") + name + ": cannot read: " + Hdf5Reason());
  }
  return {copy.data(), place.num_rows};
}

int64_t Hdf5Container::OpenTokens(int64_t token_bytes) {
  const Hdf5Lock lock;
  tokens_ = OpenDataset("tokens");
  token_bytes_ = token_bytes;
  tokens_place_ = Locate(tokens_, "tokens", token_bytes == 2 ? "uint16" : "uint32", 1);
  if (tokens_place_.offset_bytes % token_bytes != 0) Fail("/tokens: misaligned in the file");
  if (map_ != nullptr) {  // the mapping is all that is needed: a set may have thousands of files
    tokens_.Close();
    file_.Close();
  }
  return tokens_place_.num_rows;
}

const char* Hdf5Container::TokenBlock(int64_t first, int64_t count,
                                      std::vector<char>& buffer) const {
  BE_CHECK(first >= 0 && count >= 0 && count <= tokens_place_.num_rows - first, path_);
  if (map_ != nullptr) return map_ + tokens_place_.offset_bytes + first * token_bytes_;
  buffer.resize(static_cast<size_t>(count * token_bytes_));
  const Hdf5Lock lock;
  const auto begin = static_cast<hsize_t>(first);
  const auto size = static_cast<hsize_t>(count);
  const Hdf5Handle file_space(H5Dget_space(tokens_.id()), H5Sclose);
  const Hdf5Handle memory_space(H5Screate_simple(1, &size, nullptr), H5Sclose);
  const Hdf5Id type = TypeOf(token_bytes_ == 2 ? "uint16" : "uint32");
  if (H5Sselect_hyperslab(file_space.id(), H5S_SELECT_SET, &begin, nullptr, &size, nullptr) < 0 ||
      H5Dread(tokens_.id(), type, memory_space.id(), file_space.id(), H5P_DEFAULT, buffer.data()) <
          0) {
    throw Error(ErrorKind::kIo, path_ + ": /tokens: cannot read: " + Hdf5Reason());
  }
  return buffer.data();
}

}  // namespace breakeven
