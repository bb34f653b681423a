// Pure. safetensors files: round trip, and everything that a foreign file can get wrong.
#include "trainer/checkpoint/safetensors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "comm/base/durable_file.h"
#include "comm/base/error.h"
#include "tests/support/temp_folder.h"
#include "trainer/checkpoint/safetensors_header.h"

namespace breakeven {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;
using testing::HasSubstr;

class SafetensorsTest : public testing::Test {
 protected:
  SafetensorsTest() { fs::create_directories(folder_ / "model"); }

  std::string Path(const std::string& name) const { return folder_ / ("model/" + name); }
  void WriteBytes(const std::string& name, const std::string& bytes) const {
    std::ofstream(Path(name), std::ios::binary) << bytes;
  }
  // What the file `bytes` is refused with; "accepted" if it is not.
  std::string ErrorOf(const std::string& bytes) const {
    WriteBytes("bad.safetensors", bytes);
    try {
      const SafetensorsFile file(Path("bad.safetensors"));
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kBadData);
      EXPECT_THAT(error.what(), HasSubstr(Path("bad.safetensors")));
      return error.what();
    }
    return "accepted";
  }
  std::string ErrorOfFolder() const {
    try {
      OpenModelFolder(folder_ / "model");
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kBadData);
      return error.what();
    }
    return "accepted";
  }
  void WriteIndex(const Json& index) const {
    WriteBytes("model.safetensors.index.json", index.dump());
  }
  void WriteShard(const std::string& name, const std::vector<std::string>& tensors) const {
    const float value = 1;
    std::vector<TensorToWrite> list;
    for (const std::string& tensor : tensors) list.push_back({tensor, "F32", {1}, &value});
    WriteSafetensors(Path(name), list);
  }

  const TempFolder folder_;
};

std::string Announced(uint64_t length) {
  std::string bytes(8, '\0');
  for (size_t i = 0; i < 8; ++i) bytes[i] = static_cast<char>(length >> (8 * i));
  return bytes;
}

// A file of this header text and so many bytes of data.
std::string FileOf(const std::string& header, size_t data_bytes) {
  return Announced(header.size()) + header + std::string(data_bytes, 'd');
}

Json Tensor(const std::string& dtype, const Json& shape, int64_t begin, int64_t end) {
  return {{"dtype", dtype}, {"shape", shape}, {"data_offsets", {begin, end}}};
}

TEST_F(SafetensorsTest, RoundTrip) {
  const std::vector<float> matrix = {1, -2, 3.5, 4, 5, 6};
  const std::vector<uint16_t> halves = {1, 2, 3};
  const double scalar = 0.1;
  const std::vector<TensorToWrite> tensors = {{"b", "F32", {2, 3}, matrix.data()},
                                              {"a.ü", "BF16", {3}, halves.data()},
                                              {"empty", "F32", {4, 0}, nullptr},
                                              {"scalar", "F64", {}, &scalar}};
  const WrittenFile written = WriteSafetensors(Path("x.safetensors"), tensors, {{"key", "value"}});
  EXPECT_EQ(written.num_bytes, static_cast<int64_t>(fs::file_size(Path("x.safetensors"))));
  const SafetensorsFile file(Path("x.safetensors"));
  EXPECT_EQ(file.path(), Path("x.safetensors"));
  EXPECT_THAT(file.metadata(), testing::ElementsAre(testing::Pair("key", "value")));
  ASSERT_EQ(file.tensors().size(), 4u);
  for (const TensorToWrite& expected : tensors) {
    const MappedTensor* found = file.Find(expected.name);
    ASSERT_NE(found, nullptr) << expected.name;
    EXPECT_EQ(found->dtype, expected.dtype);
    EXPECT_EQ(found->shape, expected.shape);
    EXPECT_EQ(found->num_bytes, found->numel * *BytesOfDtype(found->dtype));
    if (found->num_bytes > 0) {
      EXPECT_EQ(std::memcmp(found->data, expected.data, static_cast<size_t>(found->num_bytes)), 0)
          << expected.name;
    }
  }
  EXPECT_EQ(file.Find("scalar")->numel, 1);
  EXPECT_EQ(file.Find("nothing"), nullptr);
  // Data begins at a multiple of 64 bytes, and the same input gives the same bytes.
  const std::string bytes = ReadFile(Path("x.safetensors"));
  EXPECT_EQ((bytes.size() - 24 - 6 - 8) % 64, 0u);
  const WrittenFile again = WriteSafetensors(Path("y.safetensors"), tensors, {{"key", "value"}});
  EXPECT_EQ(again.hash, written.hash);
  EXPECT_EQ(ReadFile(Path("y.safetensors")), bytes);
}

// What was read is given back, and can be read again all the same.
TEST_F(SafetensorsTest, ForgottenTensorsLeaveTheResidentSize) {
  const auto resident_kib = [] {
    std::ifstream status("/proc/self/status");
    std::string word;
    int64_t kib = 0;
    while (status >> word) {
      if (word == "RssFile:") status >> kib;
    }
    return kib;
  };
  constexpr int64_t kFloats = int64_t{4} << 20;
  const std::vector<float> values(kFloats, 2.5f);
  const std::vector<TensorToWrite> tensors = {{"large", "F32", {kFloats}, values.data()}};
  WriteSafetensors(Path("large.safetensors"), tensors);
  const SafetensorsFile file(Path("large.safetensors"));
  const MappedTensor& tensor = *file.Find("large");
  const auto sum = [&] {
    double total = 0;
    for (int64_t i = 0; i < tensor.num_bytes; i += 4) {
      float value = 0;
      std::memcpy(&value, tensor.data + i, sizeof(value));
      total += value;
    }
    return total;
  };
  const int64_t before = resident_kib();
  EXPECT_EQ(sum(), 2.5 * kFloats);
  EXPECT_GT(resident_kib() - before, 15 << 10);
  file.Forget(tensor);
  EXPECT_LT(resident_kib() - before, 1 << 10);
  EXPECT_EQ(sum(), 2.5 * kFloats);
}

TEST_F(SafetensorsTest, EveryPrefixOfAFileIsRefused) {
  const Json header = {{"a", Tensor("F32", {2}, 0, 8)}};
  const std::string bytes = FileOf(header.dump(), 8);
  ASSERT_EQ(ErrorOf(bytes), "accepted");
  for (size_t length = 0; length < bytes.size(); ++length) {
    EXPECT_NE(ErrorOf(bytes.substr(0, length)), "accepted") << length << " bytes";
  }
  EXPECT_THAT(ErrorOf(bytes + "x"), HasSubstr("the file at 9")) << "trailing byte";
}

TEST_F(SafetensorsTest, HeaderLengths) {
  EXPECT_THAT(ErrorOf(""), HasSubstr("0 bytes"));
  EXPECT_THAT(ErrorOf(Announced(0)), HasSubstr("does not begin with '{'"));
  EXPECT_THAT(ErrorOf(Announced(3) + "{}"), HasSubstr("does not fit"));
  EXPECT_THAT(ErrorOf(Announced(kMaxHeaderBytes + 1) + "{}"), HasSubstr("limit"));
  EXPECT_THAT(ErrorOf(Announced(~uint64_t{0}) + "{}"), HasSubstr("limit"));
  EXPECT_EQ(ErrorOf(FileOf("{}", 0)), "accepted") << "a file of no tensors";
}

TEST_F(SafetensorsTest, HeadersThatAreNone) {
  EXPECT_THAT(ErrorOf(FileOf("{\"a\": ", 0)), HasSubstr("not JSON"));
  EXPECT_THAT(ErrorOf(FileOf("{} x", 0)), HasSubstr("not JSON"));
  EXPECT_THAT(ErrorOf(FileOf("[]", 0)), HasSubstr("'{'"));
  EXPECT_THAT(ErrorOf(FileOf(" {}", 0)), HasSubstr("'{'"));
  EXPECT_THAT(ErrorOf(FileOf("{\"\xff\": 1}", 0)), HasSubstr("UTF-8"));
  EXPECT_THAT(ErrorOf(FileOf(R"({"__metadata__": {"a": 1}})", 0)), HasSubstr("__metadata__"));
  EXPECT_THAT(ErrorOf(FileOf(R"({"__metadata__": []})", 0)), HasSubstr("__metadata__"));
  // Nesting may not end the process, whatever the message.
  EXPECT_NE(ErrorOf(FileOf("{\"a\":" + std::string(100000, '['), 0)), "accepted");
}

// Printing it in the message would take a call a level, and the stack has an end.
TEST_F(SafetensorsTest, HeadersThatNestWithoutEnd) {
  constexpr size_t kLevels = 300'000;
  const std::string nested = std::string(kLevels, '[') + std::string(kLevels, ']');
  const std::string header = R"({"a":{"dtype":)" + nested + R"(,"shape":[],"data_offsets":[0,0]}})";
  EXPECT_THAT(ErrorOf(FileOf(header, 0)), HasSubstr("nested deeper"));
  WriteBytes("model.safetensors.index.json", R"({"weight_map":{"a":)" + nested + "}}");
  EXPECT_THAT(ErrorOfFolder(), HasSubstr("nested deeper"));
}

TEST_F(SafetensorsTest, NamesStandOnce) {
  const std::string a = R"("a": {"dtype": "U8", "shape": [1], "data_offsets": )";
  EXPECT_THAT(ErrorOf(FileOf("{" + a + "[0, 1]}, " + a + "[1, 2]}}", 2)), HasSubstr("\"a\""));
  EXPECT_THAT(
      ErrorOf(FileOf(
          R"({"a": {"dtype": "U8", "shape": [1], "shape": [2], "data_offsets": [0, 2]}})", 2)),
      HasSubstr("twice"));
  // The same member names in two tensors are none.
  EXPECT_EQ(ErrorOf(FileOf(
                Json{{"a", Tensor("U8", {1}, 0, 1)}, {"b", Tensor("U8", {1}, 1, 2)}}.dump(), 2)),
            "accepted");
}

TEST_F(SafetensorsTest, TensorsMustFillTheFile) {
  const auto error_of = [&](const Json& a, const Json& b, size_t data_bytes) {
    return ErrorOf(FileOf(Json{{"a", a}, {"b", b}}.dump(), data_bytes));
  };
  const Json four = Tensor("U8", {4}, 0, 4);
  EXPECT_THAT(error_of(four, Tensor("U8", {4}, 3, 7), 7), HasSubstr("overlaps"));
  EXPECT_THAT(error_of(four, four, 4), HasSubstr("overlaps"));
  EXPECT_THAT(error_of(four, Tensor("U8", {4}, 5, 9), 9), HasSubstr("hole"));
  EXPECT_THAT(error_of(Tensor("U8", {4}, 1, 5), Tensor("U8", {4}, 5, 9), 9), HasSubstr("hole"));
  EXPECT_THAT(error_of(four, Tensor("U8", {4}, 4, 8), 7), HasSubstr("only 7"));
  EXPECT_THAT(error_of(four, Tensor("U8", {4}, 4, 8), 9), HasSubstr("the file at 9"));
  EXPECT_EQ(error_of(four, Tensor("F32", {0}, 4, 4), 4), "accepted") << "empty, at the end";
  EXPECT_EQ(error_of(four, Tensor("F32", {0}, 0, 0), 4), "accepted") << "empty, at the start";
}

TEST_F(SafetensorsTest, ATensorMustBeSound) {
  const auto error_of = [&](const Json& tensor, size_t data_bytes = 8) {
    return ErrorOf(FileOf(Json{{"the_one", tensor}}.dump(), data_bytes));
  };
  const auto with = [&](const char* key, const Json& value) {
    Json tensor = Tensor("F32", {2}, 0, 8);
    tensor[key] = value;
    return error_of(tensor);
  };
  const auto without = [&](const char* key) {
    Json tensor = Tensor("F32", {2}, 0, 8);
    tensor.erase(key);
    return error_of(tensor);
  };
  ASSERT_EQ(error_of(Tensor("F32", {2}, 0, 8)), "accepted");
  for (const std::string& message : {with("dtype", "F33"),
                                     with("dtype", 4),
                                     with("dtype", "f32"),
                                     with("shape", {3}),
                                     with("shape", {-2}),
                                     with("shape", {2.0}),
                                     with("shape", 2),
                                     with("shape", {"2"}),
                                     with("data_offsets", {0, 4}),
                                     with("data_offsets", {8, 0}),
                                     with("data_offsets", {-8, 0}),
                                     with("data_offsets", {0}),
                                     with("data_offsets", {0, 8, 8}),
                                     with("data_offsets", "0, 8"),
                                     with("data_offsets", {0, ~uint64_t{0}}),
                                     with("extra", 1),
                                     without("dtype"),
                                     without("shape"),
                                     without("data_offsets"),
                                     error_of("text"),
                                     error_of(nullptr)}) {
    EXPECT_THAT(message, HasSubstr("the_one"));
  }
  EXPECT_THAT(with("dtype", "F33"), HasSubstr("F33"));
  EXPECT_THAT(with("shape", {3}), HasSubstr("12"));
  const int64_t huge = int64_t{1} << 32;
  EXPECT_THAT(with("shape", {huge, huge}), HasSubstr("overflows"));
  EXPECT_THAT(with("shape", {huge, huge >> 1, 4}), HasSubstr("overflows"));
  EXPECT_THAT(with("shape", {int64_t{1} << 62}), HasSubstr("overflows")) << "by the dtype alone";
  EXPECT_THAT(error_of(Tensor("F32", {huge}, 0, 4 * huge)), HasSubstr("only 8"));
}

TEST_F(SafetensorsTest, AFileMustBeAFile) {
  for (const std::string& path : {Path("missing.safetensors"), folder_ / "model"}) {
    EXPECT_THROW(SafetensorsFile{path}, Error) << path;
  }
}

TEST_F(SafetensorsTest, ShardsOfAnIndex) {
  WriteShard("one.safetensors", {"a", "b"});
  WriteShard("two.safetensors", {"c"});
  WriteIndex({{"weight_map",
               {{"a", "one.safetensors"}, {"b", "one.safetensors"}, {"c", "two.safetensors"}}}});
  const std::vector<SafetensorsFile> files = OpenModelFolder(folder_ / "model");
  ASSERT_EQ(files.size(), 2u);
  EXPECT_NE(files[0].Find("b"), nullptr);
  EXPECT_NE(files[1].Find("c"), nullptr);

  WriteIndex({{"weight_map", {{"a", "one.safetensors"}, {"z", "two.safetensors"}}}});
  EXPECT_THAT(ErrorOfFolder(), HasSubstr("\"z\"")) << "promised, but in no shard";
  WriteIndex({{"weight_map", {{"a", "two.safetensors"}, {"b", "one.safetensors"}}}});
  EXPECT_THAT(ErrorOfFolder(), HasSubstr("\"a\"")) << "in another shard than promised";
  WriteIndex({{"weight_map", {{"a", "one.safetensors"}, {"c", "three.safetensors"}}}});
  EXPECT_THAT(ErrorOfFolder(), HasSubstr("three.safetensors")) << "a shard that is not there";
  WriteShard("two.safetensors", {"c", "a"});
  WriteIndex({{"weight_map", {{"a", "one.safetensors"}, {"c", "two.safetensors"}}}});
  EXPECT_THAT(ErrorOfFolder(), HasSubstr("\"a\"")) << "in two shards";
}

TEST_F(SafetensorsTest, AnIndexMayNotLeaveItsFolder) {
  // A sound file outside, so that nothing but the name is wrong.
  const float value = 1;
  const std::vector<TensorToWrite> one = {{"a", "F32", {1}, &value}};
  WriteSafetensors(folder_ / "outside.safetensors", one);
  for (const std::string& shard :
       {std::string("../outside.safetensors"), folder_ / "outside.safetensors",
        std::string("x/../../outside.safetensors"), std::string(".."), std::string("."),
        std::string(), std::string("a.safetensors\0b", 15)}) {
    WriteIndex({{"weight_map", {{"a", shard}}}});
    EXPECT_THAT(ErrorOfFolder(), HasSubstr("plain file name")) << shard;
  }
}

TEST_F(SafetensorsTest, IndexesThatAreNone) {
  EXPECT_THAT(ErrorOfFolder(), HasSubstr("neither"));
  for (const char* text : {"", "[]", "{}", R"({"weight_map": {}})", R"({"weight_map": []})",
                           R"({"weight_map": {"a": 1}})"}) {
    WriteBytes("model.safetensors.index.json", text);
    EXPECT_THAT(ErrorOfFolder(), HasSubstr("index.json")) << text;
  }
}

}  // namespace
}  // namespace breakeven
