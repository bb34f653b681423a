#include "comm/base/hash.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <fstream>
#include <string>

#include "comm/base/direct_io.h"
#include "comm/base/error.h"
#include "tests/support/temp_folder.h"

namespace breakeven {
namespace {

// From the xxHash project's published sanity values: XXH3_64bits of nothing with seed 0.
TEST(Hash, OfNothingIsThePublishedValue) {
  EXPECT_EQ(HashHex(Hash64("")), "2d06800538d394c2");
  EXPECT_EQ(HashHex(Hash64(nullptr, 0)), "2d06800538d394c2");
}

TEST(Hash, HexHasSixteenLowerCaseDigits) {
  EXPECT_EQ(HashHex(0), "0000000000000000");
  EXPECT_EQ(HashHex(0xABCDEF0123456789u), "abcdef0123456789");
}

TEST(Hash, StreamEqualsWholeForEveryCut) {
  std::string text;
  for (int i = 0; i < 5000; ++i) text += static_cast<char>(i * 131 >> 3);
  const uint64_t whole = Hash64(text);
  for (const size_t cut :
       {size_t{0}, size_t{1}, size_t{255}, size_t{256}, size_t{1024}, size_t{4999}}) {
    Hasher hasher;
    hasher.Update(text.substr(0, cut));
    hasher.Update(nullptr, 0);
    hasher.Update(text.substr(cut));
    EXPECT_EQ(hasher.Digest(), whole) << "cut at " << cut;
    EXPECT_EQ(hasher.Hex(), HashHex(whole));
  }
}

TEST(Hash, FieldsKeepTheirBorders) {
  Hasher a, b;
  a.UpdateField("ab");
  a.UpdateField("c");
  b.UpdateField("a");
  b.UpdateField("bc");
  EXPECT_NE(a.Digest(), b.Digest());
}

TEST(Hash, OfFileEqualsHashOfItsBytes) {
  const TempFolder folder;
  const std::string path = folder / "file";
  std::string text(3 << 20, 'x');
  text[12345] = 'y';
  std::ofstream(path, std::ios::binary) << text;
  EXPECT_EQ(HashFile(path), Hash64(text));
}

TEST(Hash, OfAFileOnTheDiskEndsWhereTheFileEnds) {
  const TempFolder folder;
  for (const size_t size :
       {size_t{0}, size_t{1}, kDirectAlignment, kDirectBytes, kDirectBytes + 4097}) {
    std::string text(size, 'x');
    if (size > 0) text.back() = 'y';
    const std::string path = folder / std::to_string(size);
    std::ofstream(path, std::ios::binary) << text;
    EXPECT_EQ(HashFileOnDisk(path), Hash64(text)) << size;
  }
}

TEST(Hash, OfAMissingFileIsBadDataAndNamesIt) {
  try {
    HashFile("/nowhere/at all");
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kBadData);
    EXPECT_NE(std::string(error.what()).find("/nowhere/at all"), std::string::npos) << error.what();
  }
}

}  // namespace
}  // namespace breakeven
