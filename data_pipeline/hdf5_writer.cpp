#include <fcntl.h>
#include <hdf5.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <filesystem>
#include <type_traits>

#include "comm/base/durable_file.h"
#include "comm/base/error.h"
#include "comm/base/fault_point.h"
#include "comm/base/hash.h"
#include "comm/base/own_file.h"
#include "data_pipeline/hdf5_file.h"
#include "data_pipeline/hdf5_layout.h"

namespace breakeven {
namespace {

// The arrays of the file, except the tokens.
struct Index {
  int64_t num_tokens = 0;
  std::vector<uint64_t> example_offsets = {0};
  std::vector<TargetSpan> target_spans;
  std::vector<uint64_t> target_span_offsets = {0};
  std::vector<uint32_t> num_targets;
  std::vector<uint64_t> example_ids;
  std::vector<uint64_t> groups;
  std::vector<uint64_t> block_hashes;

  TokenIndexView View() const {
    return {num_tokens,  example_offsets, target_spans, target_span_offsets,
            num_targets, example_ids,     groups,       block_hashes};
  }
};

void CheckExample(const TokenExample& example, int64_t vocab_size) {
  BE_CHECK(
      !example.tokens.empty() && example.tokens.size() < UINT32_MAX,
      std::to_string(example.tokens.size()) + " tokens in example " + std::to_string(example.id));
  for (const int32_t token : example.tokens) {
    BE_CHECK(
        token >= 0 && token < vocab_size,
        "token " + std::to_string(token) + " of a vocabulary of " + std::to_string(vocab_size));
  }
  uint32_t end = 0;
  for (const TargetSpan& span : example.targets) {
    BE_CHECK(span.begin >= end && span.begin < span.end && span.end <= example.tokens.size(),
             "target span " + std::to_string(span.begin) + ".." + std::to_string(span.end) +
                 " of example " + std::to_string(example.id));
    end = span.end;
  }
}

Index BuildIndex(std::span<const TokenExample> examples, int64_t vocab_size) {
  Index index;
  for (const TokenExample& example : examples) {
    CheckExample(example, vocab_size);
    index.num_tokens += static_cast<int64_t>(example.tokens.size());
    index.example_offsets.push_back(static_cast<uint64_t>(index.num_tokens));
    index.target_spans.insert(index.target_spans.end(), example.targets.begin(),
                              example.targets.end());
    index.target_span_offsets.push_back(index.target_spans.size());
    index.num_targets.push_back(CountTargets(example.targets));
    index.example_ids.push_back(example.id);
    index.groups.push_back(example.group);
  }
  return index;
}

std::string FreeSpace(const std::string& path) {
  const std::string folder = std::filesystem::path(path).parent_path().string();
  struct statvfs info;
  if (statvfs(folder.empty() ? "." : folder.c_str(), &info) != 0) return "free space unknown";
  return std::to_string(static_cast<uint64_t>(info.f_bavail) * info.f_frsize) + " bytes free there";
}

// Writes one file under a temporary name. Every HDF5 return code that can report a lost write is
// checked: on a full disk some calls succeed that come after the one that failed.
class FileWriter {
 public:
  FileWriter(const std::string& path, int64_t needed_bytes)
      : path_(path), temporary_(path + ".tmp"), needed_bytes_(needed_bytes) {}
  FileWriter(const FileWriter&) = delete;
  FileWriter& operator=(const FileWriter&) = delete;
  ~FileWriter() {
    const Hdf5Lock lock;
    file_.Close();
    if (created_) ::unlink(temporary_.c_str());
  }

  void Create();
  void WriteAttribute(const std::string& name, const std::string& value);
  void WriteAttribute(const std::string& name, int64_t value);
  template <typename T>
  void WriteArray(const char* name, const std::vector<T>& values);
  // Returns the block hashes.
  template <typename Token>
  std::vector<uint64_t> WriteTokens(std::span<const TokenExample> examples, int64_t num_tokens);
  void Commit();

 private:
  [[noreturn]] void Fail(const std::string& what) const {
    // A failed write(2) leaves its errno in HDF5's text.
    throw Error(ErrorKind::kIo, path_ + ": " + what + " failed (about " +
                                    std::to_string(needed_bytes_) + " bytes needed, " +
                                    FreeSpace(path_) + "): " + Hdf5Reason() +
                                    ". Nothing stands under this name that did not before.");
  }
  Hdf5Handle CreateDataset(const char* name, Hdf5Id type, const std::vector<hsize_t>& shape);
  void CloseDataset(Hdf5Handle& dataset, const char* name);

  std::string path_;
  std::string temporary_;
  int64_t needed_bytes_;
  bool created_ = false;
  Hdf5Handle file_;
};

void FileWriter::Create() {
  // HDF5 would say less about why a file cannot be created.
  const int fd = OpenOwnFile(temporary_, O_WRONLY | O_CREAT);
  if (fd < 0) {
    throw Error(ErrorKind::kCannotCreate,
                path_ + ": cannot create (through " + temporary_ + "): " + WhyNotOpened(errno));
  }
  ::close(fd);
  const Hdf5Lock lock;
  const Hdf5Handle access(H5Pcreate(H5P_FILE_ACCESS), H5Pclose);
  const Hdf5Handle creation(H5Pcreate(H5P_FILE_CREATE), H5Pclose);
  // The format of HDF5 1.8: its metadata have checksums, and every HDF5 in use reads it.
  H5Pset_libver_bounds(access.id(), H5F_LIBVER_V18, H5F_LIBVER_V18);
  H5Pset_alignment(access.id(), 1, 4096);
  H5Pset_fclose_degree(access.id(), H5F_CLOSE_STRONG);
  H5Pset_obj_track_times(creation.id(), false);
  // Few links and attributes: all in the root's header.
  H5Pset_link_phase_change(creation.id(), 64, 32);
  H5Pset_attr_phase_change(creation.id(), 64, 32);
  file_ = Hdf5Handle(H5Fcreate(temporary_.c_str(), H5F_ACC_TRUNC, creation.id(), access.id()),
                     H5Fclose);
  if (!file_.valid()) {
    throw Error(ErrorKind::kCannotCreate, path_ + ": cannot create (through " + temporary_ + "): " +
                                              Hdf5Reason() + ". Is another process writing it?");
  }
  created_ = true;
}

void FileWriter::WriteAttribute(const std::string& name, const std::string& value) {
  const Hdf5Lock lock;
  const Hdf5Handle type(H5Tcopy(H5T_C_S1), H5Tclose);
  H5Tset_size(type.id(), std::max<size_t>(value.size(), 1));
  H5Tset_strpad(type.id(), H5T_STR_NULLPAD);
  H5Tset_cset(type.id(), H5T_CSET_UTF8);
  const Hdf5Handle space(H5Screate(H5S_SCALAR), H5Sclose);
  Hdf5Handle attribute(
      H5Acreate2(file_.id(), name.c_str(), type.id(), space.id(), H5P_DEFAULT, H5P_DEFAULT),
      H5Aclose);
  if (!attribute.valid() || H5Awrite(attribute.id(), type.id(), value.c_str()) < 0 ||
      !attribute.Close()) {
    Fail("writing attribute '" + name + "'");
  }
}

void FileWriter::WriteAttribute(const std::string& name, int64_t value) {
  const Hdf5Lock lock;
  const Hdf5Handle space(H5Screate(H5S_SCALAR), H5Sclose);
  Hdf5Handle attribute(
      H5Acreate2(file_.id(), name.c_str(), H5T_STD_I64LE, space.id(), H5P_DEFAULT, H5P_DEFAULT),
      H5Aclose);
  if (!attribute.valid() || H5Awrite(attribute.id(), H5T_NATIVE_INT64, &value) < 0 ||
      !attribute.Close()) {
    Fail("writing attribute '" + name + "'");
  }
}

Hdf5Handle FileWriter::CreateDataset(const char* name, Hdf5Id type,
                                     const std::vector<hsize_t>& shape) {
  const Hdf5Handle space(H5Screate_simple(static_cast<int>(shape.size()), shape.data(), nullptr),
                         H5Sclose);
  const Hdf5Handle creation(H5Pcreate(H5P_DATASET_CREATE), H5Pclose);
  H5Pset_layout(creation.id(), H5D_CONTIGUOUS);
  H5Pset_alloc_time(creation.id(), H5D_ALLOC_TIME_EARLY);
  H5Pset_fill_time(creation.id(), H5D_FILL_TIME_NEVER);  // all of it is written anyway
  H5Pset_obj_track_times(creation.id(), false);
  Hdf5Handle dataset(
      H5Dcreate2(file_.id(), name, type, space.id(), H5P_DEFAULT, creation.id(), H5P_DEFAULT),
      H5Dclose);
  if (!dataset.valid()) Fail(std::string("creating /") + name);
  return dataset;
}

void FileWriter::CloseDataset(Hdf5Handle& dataset, const char* name) {
  if (H5Dflush(dataset.id()) < 0 || !dataset.Close()) Fail(std::string("writing /") + name);
}

template <typename T>
void FileWriter::WriteArray(const char* name, const std::vector<T>& values) {
  const Hdf5Lock lock;
  constexpr bool kPairs = std::is_same_v<T, TargetSpan>;
  // The names of types are calls into HDF5.
  const Hdf5Id type = std::is_same_v<T, uint64_t> ? H5T_STD_U64LE : H5T_STD_U32LE;
  std::vector<hsize_t> shape = {values.size()};
  if (kPairs) shape.push_back(2);
  Hdf5Handle dataset = CreateDataset(name, type, shape);
  if (!values.empty() &&
      H5Dwrite(dataset.id(), type, H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data()) < 0) {
    Fail(std::string("writing /") + name);
  }
  CloseDataset(dataset, name);
}

template <typename Token>
std::vector<uint64_t> FileWriter::WriteTokens(std::span<const TokenExample> examples,
                                              int64_t num_tokens) {
  constexpr size_t kBlockTokens = kBlockBytes / sizeof(Token);
  const Hdf5Lock lock;
  const Hdf5Id type = sizeof(Token) == 2 ? H5T_STD_U16LE : H5T_STD_U32LE;
  Hdf5Handle dataset = CreateDataset("tokens", type, {static_cast<hsize_t>(num_tokens)});
  const Hdf5Handle file_space(H5Dget_space(dataset.id()), H5Sclose);
  std::vector<uint64_t> hashes;
  std::vector<Token> block;
  block.reserve(kBlockTokens);
  hsize_t begin = 0;
  const auto flush = [&] {
    if (block.empty()) return;
    const hsize_t count = block.size();
    const Hdf5Handle memory_space(H5Screate_simple(1, &count, nullptr), H5Sclose);
    if (H5Sselect_hyperslab(file_space.id(), H5S_SELECT_SET, &begin, nullptr, &count, nullptr) <
            0 ||
        H5Dwrite(dataset.id(), type, memory_space.id(), file_space.id(), H5P_DEFAULT,
                 block.data()) < 0) {
      Fail("writing /tokens");
    }
    hashes.push_back(Hash64(block.data(), block.size() * sizeof(Token)));
    begin += count;
    block.clear();
  };
  for (const TokenExample& example : examples) {
    for (const int32_t token : example.tokens) {
      block.push_back(static_cast<Token>(token));
      if (block.size() == kBlockTokens) flush();
    }
  }
  flush();
  CloseDataset(dataset, "tokens");
  return hashes;
}

void FileWriter::Commit() {
  {
    const Hdf5Lock lock;
    if (H5Fflush(file_.id(), H5F_SCOPE_GLOBAL) < 0 || !file_.Close()) Fail("writing");
  }
  FsyncFile(temporary_);
  FaultPoint("dataset.before_rename", kCallNumber);
  RenameDurably(temporary_, path_);
  created_ = false;
}

}  // namespace

void WriteTokenDataset(const std::string& path, TokenDatasetInfo& info,
                       std::span<const TokenExample> examples) {
  BE_CHECK(info.vocab_size > 0, "vocab_size " + std::to_string(info.vocab_size));
  if (examples.empty()) {
    throw Error(ErrorKind::kBadData, path + ": no example to write: a dataset must not be empty");
  }
  info.format = kTokenDatasetFormat;
  Index index = BuildIndex(examples, info.vocab_size);
  const int64_t token_bytes = TokenBytes(info.vocab_size);
  constexpr int64_t kIndexBytes = 8 * 4 + 4;  // of one example
  FileWriter writer(path, index.num_tokens * token_bytes +
                              static_cast<int64_t>(examples.size()) * kIndexBytes +
                              static_cast<int64_t>(index.target_spans.size()) * 8);
  writer.Create();
  index.block_hashes = token_bytes == 2 ? writer.WriteTokens<uint16_t>(examples, index.num_tokens)
                                        : writer.WriteTokens<uint32_t>(examples, index.num_tokens);
  writer.WriteArray("block_hashes", index.block_hashes);
  writer.WriteArray("example_ids", index.example_ids);
  writer.WriteArray("example_offsets", index.example_offsets);
  writer.WriteArray("groups", index.groups);
  writer.WriteArray("num_targets", index.num_targets);
  writer.WriteArray("target_span_offsets", index.target_span_offsets);
  writer.WriteArray("target_spans", index.target_spans);
  const std::map<std::string, std::string> attributes = AttributesOf(info);
  info.content_hash = ContentHash(attributes, index.View(), token_bytes);
  for (const auto& [name, value] : attributes) {
    if (name == "format") {
      writer.WriteAttribute(name, info.format);
    } else if (name == "vocab_size") {
      writer.WriteAttribute(name, info.vocab_size);
    } else {
      writer.WriteAttribute(name, value);
    }
  }
  writer.WriteAttribute("content_hash", info.content_hash);
  writer.Commit();
}

}  // namespace breakeven
