// What must not be trained on: damaged, foreign and forged files; what a full disk leaves behind.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <hdf5.h>
#include <sys/resource.h>

#include <csignal>
#include <fstream>
#include <functional>

#include "data_pipeline/hdf5_layout.h"
#include "data_pipeline/hdf5_reader.h"
#include "data_pipeline/token_dataset.h"
#include "tests/data_pipeline/dataset_fixture.h"

namespace breakeven {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

// Changes one bit of a file in place, and back.
class BitFlip {
 public:
  BitFlip(const std::string& path, size_t at, int bit) : path_(path), at_(at), bit_(bit) { Flip(); }
  ~BitFlip() { Flip(); }
  BitFlip(const BitFlip&) = delete;
  BitFlip& operator=(const BitFlip&) = delete;

 private:
  void Flip() const {
    std::fstream file(path_, std::ios::in | std::ios::out | std::ios::binary);
    file.seekg(static_cast<std::streamoff>(at_));
    const int byte = file.get();
    file.seekp(static_cast<std::streamoff>(at_));
    file.put(static_cast<char>(byte ^ (1 << bit_)));
  }
  const std::string& path_;
  size_t at_;
  int bit_;
};

class DamagedDataset : public testing::Test {
 protected:
  void SetUp() override {
    WriteTokenDataset(path_, info_, examples_);
    bytes_ = ReadBytes(path_);
  }

  std::string OpenMessage() {
    return MessageOf(ErrorKind::kBadData, [this] { TokenDataset::Open(path_)->Verify(); });
  }

  // Opens the file with HDF5 itself and lets `change` spoil it.
  void Spoil(const std::function<void(hid_t)>& change) {
    WriteBytes(path_, bytes_);
    const hid_t file = H5Fopen(path_.c_str(), H5F_ACC_RDWR, H5P_DEFAULT);
    ASSERT_GE(file, 0);
    change(file);
    ASSERT_GE(H5Fclose(file), 0);
  }

  // Replaces a dataset by one of other properties, same values as far as they go.
  void Replace(const char* name, hid_t type, const std::vector<hsize_t>& shape,
               const std::function<void(hid_t)>& properties, bool write = true) {
    Spoil([&](hid_t file) {
      ASSERT_GE(H5Ldelete(file, name, H5P_DEFAULT), 0);
      const hid_t creation = H5Pcreate(H5P_DATASET_CREATE);
      properties(creation);
      const hid_t space = H5Screate_simple(static_cast<int>(shape.size()), shape.data(), nullptr);
      const hid_t dataset = H5Dcreate2(file, name, type, space, H5P_DEFAULT, creation, H5P_DEFAULT);
      ASSERT_GE(dataset, 0);
      const std::vector<char> zeros(1 << 16);
      if (write) {
        ASSERT_GE(H5Dwrite(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, zeros.data()), 0);
      }
      H5Dclose(dataset);
      H5Sclose(space);
      H5Pclose(creation);
    });
  }

  const TempFolder folder_;
  const std::string path_ = folder_ / "train.h5";
  const std::vector<TokenExample> examples_ = MakeExamples(12, 15, 1000);
  TokenDatasetInfo info_ = MakeInfo(1000);
  std::string bytes_;
  hsize_t num_tokens() const {
    hsize_t count = 0;
    for (const TokenExample& example : examples_) count += example.tokens.size();
    return count;
  }
};

TEST_F(DamagedDataset, EveryBitFlipInTheTokensIsFound) {
  std::string tokens;
  for (const TokenExample& example : examples_) {
    for (const int32_t token : example.tokens) {
      tokens.push_back(static_cast<char>(token & 255));
      tokens.push_back(static_cast<char>(token >> 8));
    }
  }
  const size_t begin = bytes_.find(tokens);
  ASSERT_NE(begin, std::string::npos);
  for (size_t bit = 0; bit < tokens.size() * 8; ++bit) {
    const BitFlip flip(path_, begin + bit / 8, static_cast<int>(bit % 8));
    const auto dataset = TokenDataset::Open(path_);  // tokens are checked when they are touched
    const std::string message = MessageOf(ErrorKind::kBadData, [&] { ReadExample(*dataset, 0); });
    ASSERT_THAT(message, AllOf(HasSubstr("train.h5"), HasSubstr("block 0"))) << "bit " << bit;
    if (bit % 50 == 0) {
      EXPECT_THAT(OpenMessage(), HasSubstr("expected hash"));
    }
  }
}

// Space between the arrays belongs to nobody; everywhere else a flip is found, or changes nothing
// that is read.
TEST_F(DamagedDataset, BitFlipsElsewhereAreFoundOrHarmless) {
  size_t harmless = 0;
  size_t found = 0;
  for (size_t at = 0; at < bytes_.size(); ++at) {
    const bool in_use = bytes_[at] != '\0';
    if (!in_use && at % 97 != 0) continue;
    const BitFlip flip(path_, at, static_cast<int>(at % 8));
    std::unique_ptr<TokenDataset> dataset;
    try {
      dataset = TokenDataset::Open(path_);
      dataset->Verify();
    } catch (const Error& e) {
      ASSERT_EQ(e.kind(), ErrorKind::kBadData) << e.what();
      ++found;
      continue;
    }
    ++harmless;
    ASSERT_EQ(dataset->info().content_hash, info_.content_hash) << "byte " << at;
    for (size_t i = 0; i < examples_.size(); ++i) {
      const std::vector<int64_t> expected(examples_[i].tokens.begin(), examples_[i].tokens.end());
      ASSERT_EQ(ReadExample(*dataset, static_cast<int64_t>(i)), expected) << "byte " << at;
    }
    ASSERT_FALSE(in_use) << "byte " << at << " is in use and its change was not found";
  }
  RecordProperty("found", static_cast<int>(found));
  RecordProperty("harmless", static_cast<int>(harmless));
  EXPECT_GT(found, 1000u);
}

TEST_F(DamagedDataset, EveryTruncationIsRefused) {
  for (size_t size = 0; size < bytes_.size(); size += size < 5000 ? 61 : 509) {
    WriteBytes(path_, bytes_.substr(0, size));
    ASSERT_THAT(OpenMessage(), HasSubstr("train.h5")) << size;
  }
  WriteBytes(path_, bytes_.substr(0, bytes_.size() - 1));
  EXPECT_THAT(OpenMessage(), HasSubstr("truncated"));
  WriteBytes(path_, bytes_ + "x");
  EXPECT_THAT(OpenMessage(), HasSubstr("its header says"));
}

TEST_F(DamagedDataset, ForeignFilesAreRefused) {
  WriteBytes(path_, "{\"text\": \"no HDF5\"}\n");
  EXPECT_THAT(OpenMessage(), HasSubstr("not an HDF5 file"));
  WriteBytes(path_, "");
  EXPECT_THAT(OpenMessage(), HasSubstr("empty file"));
  std::filesystem::remove(path_);
  EXPECT_THAT(OpenMessage(), HasSubstr("No such file"));
  std::filesystem::create_directory(path_);
  EXPECT_THAT(OpenMessage(), HasSubstr("not a file"));
  std::filesystem::remove(path_);
  const hid_t file = H5Fcreate(path_.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
  H5Fclose(file);
  EXPECT_THAT(OpenMessage(), HasSubstr("another kind"));
}

TEST_F(DamagedDataset, AnotherFormatIsRefused) {
  Spoil([](hid_t file) {
    const hid_t attribute = H5Aopen(file, "format", H5P_DEFAULT);
    const int64_t format = 2;
    H5Awrite(attribute, H5T_NATIVE_INT64, &format);
    H5Aclose(attribute);
  });
  EXPECT_THAT(OpenMessage(), AllOf(HasSubstr("format 2"), HasSubstr("reads format 1")));
}

TEST_F(DamagedDataset, ExternalStorageIsRefused) {
  WriteBytes(folder_ / "secret", std::string(10000, 's'));
  const std::string secret = folder_ / "secret";
  Replace(
      "tokens", H5T_STD_U16LE, {num_tokens()},
      [&](hid_t p) { H5Pset_external(p, secret.c_str(), 0, H5F_UNLIMITED); }, false);
  EXPECT_THAT(OpenMessage(), AllOf(HasSubstr("/tokens"), HasSubstr("external storage")));
}

TEST_F(DamagedDataset, ExternalAndSoftLinksAreRefused) {
  Spoil([](hid_t file) {
    H5Ldelete(file, "groups", H5P_DEFAULT);
    H5Lcreate_external("other.h5", "/groups", file, "groups", H5P_DEFAULT, H5P_DEFAULT);
  });
  EXPECT_THAT(OpenMessage(), HasSubstr("links"));
  Spoil([](hid_t file) {
    H5Ldelete(file, "groups", H5P_DEFAULT);
    H5Lcreate_soft("/example_ids", file, "groups", H5P_DEFAULT, H5P_DEFAULT);
  });
  EXPECT_THAT(OpenMessage(), HasSubstr("links"));
}

TEST_F(DamagedDataset, FiltersAndChunksAreRefused) {
  const hsize_t chunk = 16;
  Replace("tokens", H5T_STD_U16LE, {num_tokens()}, [&](hid_t p) {
    H5Pset_chunk(p, 1, &chunk);
    H5Pset_deflate(p, 4);
  });
  EXPECT_THAT(OpenMessage(), AllOf(HasSubstr("/tokens"), HasSubstr("filter")));
  Replace("tokens", H5T_STD_U16LE, {num_tokens()}, [&](hid_t p) { H5Pset_chunk(p, 1, &chunk); });
  EXPECT_THAT(OpenMessage(), AllOf(HasSubstr("/tokens"), HasSubstr("contiguous")));
  Replace("tokens", H5T_STD_U16LE, {num_tokens()}, [&](hid_t p) { H5Pset_layout(p, H5D_COMPACT); });
  EXPECT_THAT(OpenMessage(), AllOf(HasSubstr("/tokens"), HasSubstr("contiguous")));
}

TEST_F(DamagedDataset, OtherTypesAndShapesAreRefused) {
  const auto plain = [](hid_t) {};
  Replace("tokens", H5T_STD_U16BE, {num_tokens()}, plain);
  EXPECT_THAT(OpenMessage(), AllOf(HasSubstr("/tokens"), HasSubstr("uint16")));
  Replace("tokens", H5T_STD_I16LE, {num_tokens()}, plain);
  EXPECT_THAT(OpenMessage(), HasSubstr("uint16"));
  Replace("tokens", H5T_STD_U32LE, {num_tokens()}, plain);
  EXPECT_THAT(OpenMessage(), HasSubstr("uint16"));
  Replace("tokens", H5T_STD_U16LE, {num_tokens(), 1}, plain);
  EXPECT_THAT(OpenMessage(), HasSubstr("one dimension"));
  Replace("target_spans", H5T_STD_U32LE, {4, 3}, plain);
  EXPECT_THAT(OpenMessage(), HasSubstr("rows of two"));
  Replace("groups", H5T_STD_U64LE, {3}, plain);
  EXPECT_THAT(OpenMessage(), AllOf(HasSubstr("/groups"), HasSubstr("expected 12")));
  Replace("groups", H5T_STD_U64LE, {12}, plain);
  EXPECT_THAT(OpenMessage(), HasSubstr("content hash"));
  // Never written, so HDF5 gave it no place: it must not be read as zeros.
  Replace("groups", H5T_STD_U64LE, {12}, plain, false);
  EXPECT_THAT(OpenMessage(), HasSubstr("outside of the file"));
  Replace("num_targets", H5T_STD_U32LE, {0}, plain, false);
  EXPECT_THAT(OpenMessage(), HasSubstr("no examples"));
}

TEST_F(DamagedDataset, WhatIsNotInTheFormatIsRefused) {
  Spoil([](hid_t file) { H5Ldelete(file, "groups", H5P_DEFAULT); });
  EXPECT_THAT(OpenMessage(), HasSubstr("groups"));
  Spoil([](hid_t file) { H5Adelete(file, "vocab_size"); });
  EXPECT_THAT(OpenMessage(), HasSubstr("vocab_size"));
  Spoil([](hid_t file) {
    H5Gclose(H5Gcreate2(file, "more", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
  });
  EXPECT_THAT(OpenMessage(), HasSubstr("'/more'"));
  Spoil([](hid_t file) {
    const hid_t space = H5Screate(H5S_SCALAR);
    H5Aclose(H5Acreate2(file, "more", H5T_STD_I8LE, space, H5P_DEFAULT, H5P_DEFAULT));
    H5Sclose(space);
  });
  EXPECT_THAT(OpenMessage(), HasSubstr("attributes that do not belong"));
}

// A file whose hashes are all right but whose tokens are not of its vocabulary: forged, or of a
// broken writer.
TEST_F(DamagedDataset, TokensBeyondTheVocabularyAreRefused) {
  TokenDatasetInfo smaller = info_;
  smaller.vocab_size = 500;
  const TokenFile file(path_, {});
  const std::string hash = ContentHash(AttributesOf(smaller), file.index(), 2);
  Spoil([&](hid_t handle) {
    hid_t attribute = H5Aopen(handle, "vocab_size", H5P_DEFAULT);
    H5Awrite(attribute, H5T_NATIVE_INT64, &smaller.vocab_size);
    H5Aclose(attribute);
    attribute = H5Aopen(handle, "content_hash", H5P_DEFAULT);
    const hid_t type = H5Aget_type(attribute);
    H5Awrite(attribute, type, hash.c_str());
    H5Tclose(type);
    H5Aclose(attribute);
  });
  for (const bool verify : {true, false}) {
    const auto dataset = TokenDataset::Open(path_, {true, verify});
    const std::string message = MessageOf(ErrorKind::kBadData, [&] {
      for (int64_t i = 0; i < dataset->num_examples(); ++i) ReadExample(*dataset, i);
    });
    EXPECT_THAT(message, AllOf(HasSubstr("token id "), HasSubstr("vocabulary size 500")));
  }
}

TEST_F(DamagedDataset, AnotherFileUnderTheNameIsFoundByVerify) {
  const auto dataset = TokenDataset::Open(path_);
  TokenDatasetInfo other = info_;
  other.split = "dev";
  WriteTokenDataset(path_, other, examples_);
  EXPECT_THAT(MessageOf(ErrorKind::kBadData, [&] { dataset->Verify(); }),
              HasSubstr("another dataset"));
  ReadExample(*dataset, 0);  // the mapping still shows the file that was opened
}

TEST_F(DamagedDataset, AFullDiskLeavesTheOldFile) {
  const auto larger = MakeExamples(4000, 500, 1000);
  const auto old_handler = std::signal(SIGXFSZ, SIG_IGN);
  rlimit old_limit;
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &old_limit), 0);
  // The write fails in the tokens, in the arrays behind them, or in the last pages of metadata.
  for (const rlim_t size : {rlim_t{100}, rlim_t{500'000}, rlim_t{2'050'000}, rlim_t{2'150'000}}) {
    rlimit limit = old_limit;
    limit.rlim_cur = size;
    ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &limit), 0);
    TokenDatasetInfo info = info_;
    const std::string message =
        MessageOf(ErrorKind::kIo, [&] { WriteTokenDataset(path_, info, larger); });
    ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &old_limit), 0);
    EXPECT_THAT(message, AllOf(HasSubstr("train.h5"), HasSubstr("File too large"),
                               HasSubstr("bytes needed")))
        << size;
    EXPECT_EQ(ReadBytes(path_), bytes_);
    EXPECT_FALSE(std::filesystem::exists(path_ + ".tmp"));
  }
  std::signal(SIGXFSZ, old_handler);
  TokenDatasetInfo info = info_;
  WriteTokenDataset(path_, info, larger);  // HDF5 is still in order
  TokenDataset::Open(path_)->Verify();
}

// HDF5's own clean-up at exit crashes on what a failed write left behind.
TEST_F(DamagedDataset, AProcessThatRanOutOfSpaceEndsWithItsOwnExitCode) {
  const auto larger = MakeExamples(4000, 500, 1000);
  const auto write = [&] {
    std::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit = {2'150'000, 2'150'000};
    setrlimit(RLIMIT_FSIZE, &limit);
    TokenDatasetInfo info = info_;
    try {
      WriteTokenDataset(path_, info, larger);
    } catch (const Error& e) {
      std::exit(e.exit_code());
    }
    std::exit(0);
  };
  EXPECT_EXIT(write(), testing::ExitedWithCode(74), "");
}

TEST_F(DamagedDataset, AnOutputThatCannotBeCreatedSaysWhy) {
  TokenDatasetInfo info = info_;
  EXPECT_THAT(MessageOf(ErrorKind::kCannotCreate,
                        [&] { WriteTokenDataset(folder_ / "no/where.h5", info, examples_); }),
              AllOf(HasSubstr("no/where.h5"), HasSubstr("No such file")));
}

}  // namespace
}  // namespace breakeven
