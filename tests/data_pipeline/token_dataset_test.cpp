#include "data_pipeline/token_dataset.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <thread>

#include "data_pipeline/hdf5_layout.h"
#include "tests/data_pipeline/dataset_fixture.h"

namespace breakeven {
namespace {

using ::testing::HasSubstr;

void ExpectEqual(const TokenDataset& dataset, const std::vector<TokenExample>& examples) {
  ASSERT_EQ(dataset.num_examples(), static_cast<int64_t>(examples.size()));
  int64_t num_tokens = 0;
  int64_t num_targets = 0;
  for (size_t i = 0; i < examples.size(); ++i) {
    const auto example = static_cast<int64_t>(i);
    const std::vector<int64_t> expected(examples[i].tokens.begin(), examples[i].tokens.end());
    ASSERT_EQ(ReadExample(dataset, example), expected) << "example " << i;
    const auto spans = dataset.target_spans(example);
    ASSERT_EQ(spans.size(), examples[i].targets.size()) << "example " << i;
    int64_t targets = 0;
    for (size_t s = 0; s < spans.size(); ++s) {
      ASSERT_EQ(spans[s].begin, examples[i].targets[s].begin);
      ASSERT_EQ(spans[s].end, examples[i].targets[s].end);
      for (uint32_t t = spans[s].begin; t < spans[s].end; ++t) targets += t > 0 ? 1 : 0;
    }
    ASSERT_EQ(dataset.example_targets(example), targets) << "example " << i;
    ASSERT_EQ(dataset.example_id(example), examples[i].id);
    ASSERT_EQ(dataset.example_group(example), examples[i].group);
    num_tokens += static_cast<int64_t>(expected.size());
    num_targets += targets;
  }
  EXPECT_EQ(dataset.num_tokens(), num_tokens);
  EXPECT_EQ(dataset.num_targets(), num_targets);
}

TEST(TokenDataset, ReadsBackWhatWasWritten) {
  const TempFolder folder;
  // 16 and 32 bits; several blocks of a MiB, with examples across their borders.
  for (const int64_t vocab_size : {2, 50257, 65536, 65537, 128256}) {
    const size_t count = vocab_size > 50257 ? 3000 : 200;
    const auto examples = MakeExamples(count, 500, vocab_size);
    TokenDatasetInfo info = MakeInfo(vocab_size);
    const std::string path = folder / "train.h5";
    WriteTokenDataset(path, info, examples);
    for (const bool use_mmap : {true, false}) {
      for (const bool verify : {true, false}) {
        SCOPED_TRACE(testing::Message() << "vocabulary " << vocab_size << " mmap " << use_mmap
                                        << " verify " << verify);
        const auto dataset = TokenDataset::Open(path, {use_mmap, verify});
        ExpectEqual(*dataset, examples);
        dataset->Verify();
        EXPECT_EQ(dataset->info().split, "train");
        EXPECT_EQ(dataset->info().tokenizer_fingerprint, info.tokenizer_fingerprint);
        EXPECT_EQ(dataset->info().template_fingerprint, info.template_fingerprint);
        EXPECT_EQ(dataset->info().vocab_size, vocab_size);
        EXPECT_EQ(dataset->info().config, info.config);
        EXPECT_EQ(dataset->info().source_hashes, info.source_hashes);
        EXPECT_EQ(dataset->info().counts, info.counts);
        EXPECT_EQ(dataset->info().content_hash, info.content_hash);
        EXPECT_EQ(info.content_hash.size(), 16u);
      }
    }
  }
}

TEST(TokenDataset, SameInputGivesSameBytes) {
  const TempFolder folder;
  const auto examples = MakeExamples(300, 200, 1000);
  TokenDatasetInfo info = MakeInfo(1000);
  WriteTokenDataset(folder / "a.h5", info, examples);
  // Memory that HDF5 may forget to clear is not the same a second time.
  std::vector<std::vector<char>> dirt;
  for (size_t size = 16; size < (1u << 16); size *= 2) dirt.emplace_back(size, '\xAB');
  dirt.clear();
  const std::string hash = info.content_hash;
  info.content_hash = "something else";
  WriteTokenDataset(folder / "b.h5", info, examples);
  EXPECT_EQ(info.content_hash, hash);
  EXPECT_EQ(ReadBytes(folder / "a.h5"), ReadBytes(folder / "b.h5"));
}

TEST(TokenDataset, ContentHashCoversEveryPart) {
  const TempFolder folder;
  const auto examples = MakeExamples(20, 30, 1000);
  const TokenDatasetInfo info = MakeInfo(1000);
  std::vector<std::string> hashes;
  const auto add = [&](TokenDatasetInfo changed, const std::vector<TokenExample>& data) {
    WriteTokenDataset(folder / "x.h5", changed, data);
    hashes.push_back(changed.content_hash);
  };
  add(info, examples);
  for (auto member : {&TokenDatasetInfo::split, &TokenDatasetInfo::tokenizer_fingerprint,
                      &TokenDatasetInfo::template_fingerprint, &TokenDatasetInfo::config}) {
    TokenDatasetInfo changed = info;
    changed.*member += "x";
    add(changed, examples);
  }
  TokenDatasetInfo changed = info;
  changed.vocab_size += 1;
  add(changed, examples);
  changed = info;
  changed.counts["documents"] += 1;
  add(changed, examples);
  changed = info;
  changed.source_hashes["more"] = "1";
  add(changed, examples);
  auto data = examples;
  data[3].tokens[0] ^= 1;
  add(info, data);
  data = examples;
  data[3].id += 1;
  add(info, data);
  data = examples;
  data[3].group += 1;
  add(info, data);
  data = examples;
  data[3].targets.pop_back();
  add(info, data);
  const size_t count = hashes.size();
  std::sort(hashes.begin(), hashes.end());
  EXPECT_EQ(std::unique(hashes.begin(), hashes.end()) - hashes.begin(),
            static_cast<int64_t>(count));
}

TEST(TokenDataset, TextAttributesMayBeEmptyOrLong) {
  const TempFolder folder;
  const auto examples = MakeExamples(5, 10, 100);
  TokenDatasetInfo info = MakeInfo(100);
  info.split = "";
  info.config = std::string(200'000, 'c');  // more than an HDF5 object header holds
  info.source_hashes.clear();
  info.counts.clear();
  WriteTokenDataset(folder / "x.h5", info, examples);
  const auto dataset = TokenDataset::Open(folder / "x.h5");
  EXPECT_EQ(dataset->info().split, "");
  EXPECT_EQ(dataset->info().config, info.config);
  EXPECT_TRUE(dataset->info().counts.empty());
}

TEST(TokenDataset, SeveralFilesAndAnIndexReadAsOne) {
  const TempFolder folder;
  const auto examples = MakeExamples(500, 100, 1000);
  TokenDatasetInfo info = MakeInfo(1000);
  const std::string path = WriteTokenDatasetFiles(folder.path(), "train", info, examples, 2000);
  EXPECT_EQ(path, folder / "train.index.json");
  EXPECT_TRUE(std::filesystem::exists(folder / "train-00000-of-00013.h5"))
      << "found: " << std::distance(std::filesystem::directory_iterator(folder.path()), {});
  const auto dataset = TokenDataset::Open(path);
  ExpectEqual(*dataset, examples);
  dataset->Verify();
  EXPECT_EQ(dataset->info().content_hash, info.content_hash);
  EXPECT_EQ(dataset->info().config, info.config);

  TokenDatasetInfo one = MakeInfo(1000);
  EXPECT_EQ(WriteTokenDatasetFiles(folder.path(), "train", one, examples, 0), folder / "train.h5");
  ExpectEqual(*TokenDataset::Open(folder / "train.h5"), examples);
}

TEST(TokenDataset, AnExampleLongerThanAFileStandsAlone) {
  const TempFolder folder;
  auto examples = MakeExamples(5, 10, 100);
  for (TokenExample& example : examples) {
    example.tokens.assign(50, 1);
    example.targets = {{10, 50}};
  }
  TokenDatasetInfo info = MakeInfo(100);
  const std::string path = WriteTokenDatasetFiles(folder.path(), "dev", info, examples, 20);
  EXPECT_TRUE(std::filesystem::exists(folder / "dev-00004-of-00005.h5"));
  ExpectEqual(*TokenDataset::Open(path), examples);
}

TEST(TokenDataset, IndexIsChecked) {
  const TempFolder folder;
  const auto examples = MakeExamples(50, 100, 1000);
  TokenDatasetInfo info = MakeInfo(1000);
  const std::string path = WriteTokenDatasetFiles(folder.path(), "t", info, examples, 1000);
  const std::string text = ReadBytes(path);
  const auto open = [&] { TokenDataset::Open(path); };
  // Any changed byte, and any cut.
  for (size_t i = 0; i < text.size(); i += 7) {
    std::string changed = text;
    changed[i] = static_cast<char>(changed[i] ^ 4);
    WriteBytes(path, changed);
    const std::string message = MessageOf(ErrorKind::kBadData, open);
    ASSERT_THAT(message, HasSubstr("t.index.json")) << "byte " << i;
  }
  for (size_t size = 0; size < text.size(); size += 11) {
    WriteBytes(path, text.substr(0, size));
    ASSERT_THAT(MessageOf(ErrorKind::kBadData, open), HasSubstr("index_hash")) << size;
  }
  WriteBytes(path, text);
  // A file of another set under a name of this one.
  TokenDatasetInfo other = MakeInfo(1000);
  const auto other_examples = MakeExamples(5, 10, 1000, 8);
  const auto first = std::filesystem::directory_iterator(folder.path());
  std::string member;
  for (const auto& entry : first) {
    if (entry.path().extension() == ".h5") member = entry.path().string();
  }
  WriteTokenDataset(member, other, other_examples);
  EXPECT_THAT(MessageOf(ErrorKind::kBadData, open), HasSubstr("different runs"));
  std::filesystem::remove(member);
  EXPECT_THAT(MessageOf(ErrorKind::kBadData, open), HasSubstr("No such file"));
}

// HDF5 files may begin with a block that is not HDF5's; offsets then do not start at the file's
// first byte.
TEST(TokenDataset, ReadsBehindAUserBlock) {
  const TempFolder folder;
  const auto examples = MakeExamples(50, 100, 1000);
  TokenDatasetInfo info = MakeInfo(1000);
  WriteTokenDataset(folder / "x.h5", info, examples);
  const std::string bytes = ReadBytes(folder / "x.h5");
  for (const size_t size : {512u, 4096u}) {
    WriteBytes(folder / "y.h5", std::string(size, 'u') + bytes);
    for (const bool use_mmap : {true, false}) {
      SCOPED_TRACE(testing::Message() << size << " bytes, mmap " << use_mmap);
      ExpectEqual(*TokenDataset::Open(folder / "y.h5", {use_mmap, true}), examples);
    }
  }
}

TEST(TokenDataset, ManyThreadsReadAtOnce) {
  const TempFolder folder;
  const auto examples = MakeExamples(4000, 500, 1000);  // two blocks
  TokenDatasetInfo info = MakeInfo(1000);
  WriteTokenDataset(folder / "x.h5", info, examples);
  for (const bool use_mmap : {true, false}) {
    const auto dataset = TokenDataset::Open(folder / "x.h5", {use_mmap, true});
    std::vector<std::thread> threads;
    std::vector<int64_t> wrong(4, 0);
    for (size_t thread = 0; thread < wrong.size(); ++thread) {
      threads.emplace_back([&, thread] {
        for (size_t k = 0; k < 500; ++k) {
          const size_t i = (thread * 997 + k * 7) % examples.size();
          const std::vector<int64_t> expected(examples[i].tokens.begin(), examples[i].tokens.end());
          if (ReadExample(*dataset, static_cast<int64_t>(i)) != expected) ++wrong[thread];
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(wrong, std::vector<int64_t>(4, 0)) << "mmap " << use_mmap;
  }
}

TEST(TokenDataset, TokensStartAtAPage) {
  const TempFolder folder;
  const auto examples = MakeExamples(3, 20, 1000);
  TokenDatasetInfo info = MakeInfo(1000);
  WriteTokenDataset(folder / "x.h5", info, examples);
  const std::string bytes = ReadBytes(folder / "x.h5");
  std::string tokens;
  for (const TokenExample& example : examples) {
    for (const int32_t token : example.tokens) {
      tokens.push_back(static_cast<char>(token & 255));
      tokens.push_back(static_cast<char>(token >> 8));
    }
  }
  const size_t at = bytes.find(tokens);
  ASSERT_NE(at, std::string::npos);
  EXPECT_EQ(at % 4096, 0u);
}

TEST(TokenDataset, AnEmptyDatasetIsNotWritten) {
  const TempFolder folder;
  TokenDatasetInfo info = MakeInfo(1000);
  const auto write = [&] { WriteTokenDataset(folder / "x.h5", info, {}); };
  EXPECT_THAT(MessageOf(ErrorKind::kBadData, write), HasSubstr("empty"));
  EXPECT_FALSE(std::filesystem::exists(folder / "x.h5"));
}

}  // namespace
}  // namespace breakeven
