// Pure.
#include "trainer/prompt_eval/ledger.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "comm/base/durable_file.h"
#include "comm/base/error.h"
#include "tests/support/temp_folder.h"

namespace breakeven {
namespace {

using ::testing::HasSubstr;
namespace fs = std::filesystem;

class LedgerTest : public ::testing::Test {
 protected:
  std::string Path(const std::string& name) const { return folder_ / name; }
  static Look LookAt(const std::string& test_hash, std::vector<std::string> hashes) {
    Look look{"task", "test", test_hash, {}};
    for (const std::string& hash : hashes) look.arms.push_back({"m", "v", hash});
    return look;
  }
  int64_t Lines(const std::string& name) const {
    const std::string text = ReadFile(Path(name));
    return std::count(text.begin(), text.end(), '\n');
  }

  const TempFolder folder_;
};

TEST_F(LedgerTest, TheSameArmsAreTheSameLook) {
  const std::vector<std::string> paths = {Path("data"), Path("run")};
  const LookNumber first = OpenLook(paths, LookAt("t", {"a", "b"}));
  EXPECT_TRUE(first.is_new);
  EXPECT_EQ(first.look, 1);
  EXPECT_EQ(first.num_looks, 1);
  const LookNumber again = OpenLook(paths, LookAt("t", {"b", "a"}));
  EXPECT_FALSE(again.is_new);
  EXPECT_EQ(again.num_looks, 1);
  EXPECT_EQ(Lines("data"), 1);
  EXPECT_EQ(Lines("run"), 1);
}

TEST_F(LedgerTest, OtherArmsAreAFurtherLookAndOtherTestSetsAreNotCounted) {
  const std::vector<std::string> paths = {Path("data"), Path("run")};
  OpenLook(paths, LookAt("t", {"a"}));
  OpenLook(paths, LookAt("other", {"z"}));
  const LookNumber second = OpenLook(paths, LookAt("t", {"c"}));
  EXPECT_TRUE(second.is_new);
  EXPECT_EQ(second.look, 2);
  EXPECT_EQ(second.num_looks, 2);
  EXPECT_EQ(OpenLook(paths, LookAt("t", {"a"})).look, 1);
}

TEST_F(LedgerTest, TheDatasLedgerKnowsOfOtherRuns) {
  OpenLook(std::vector<std::string>{Path("data"), Path("run1")}, LookAt("t", {"a"}));
  const std::vector<std::string> second = {Path("data"), Path("run2")};
  EXPECT_EQ(OpenLook(second, LookAt("t", {"b"})).num_looks, 2);
  EXPECT_EQ(ReadFile(Path("run2")), ReadFile(Path("data")));
  // Looks that this run's book lacks are copied into it, not counted anew.
  const std::vector<std::string> third = {Path("data"), Path("run3")};
  EXPECT_FALSE(OpenLook(third, LookAt("t", {"a"})).is_new);
  EXPECT_EQ(ReadFile(Path("run3")), ReadFile(Path("data")));
  EXPECT_EQ(Lines("data"), 2);
  // And the other way: data that were copied without their book get it back from a run's.
  fs::remove(Path("data"));
  EXPECT_EQ(OpenLook(third, LookAt("t", {"c"})).look, 3);
  EXPECT_EQ(ReadFile(Path("data")), ReadFile(Path("run3")));
}

TEST_F(LedgerTest, WhatACrashLeftOfALineIsRemoved) {
  const std::vector<std::string> paths = {Path("data")};
  OpenLook(paths, LookAt("t", {"a"}));
  std::ofstream(Path("data"), std::ios::app) << R"({"format":1,"opened":"20)";
  EXPECT_EQ(OpenLook(paths, LookAt("t", {"b"})).num_looks, 2);
  EXPECT_EQ(Lines("data"), 2);
  EXPECT_EQ(OpenLook(paths, LookAt("t", {"b"})).look, 2);
}

TEST_F(LedgerTest, AFileThatIsNoLedgerIsRefusedAndKept) {
  std::ofstream(Path("data")) << "{\"format\":1}\n";
  try {
    OpenLook(std::vector<std::string>{Path("data")}, LookAt("t", {"a"}));
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kBadData);
    EXPECT_THAT(error.what(), HasSubstr("line 1"));
  }
  EXPECT_EQ(ReadFile(Path("data")), "{\"format\":1}\n");
}

// Of a file that is no ledger nothing is cut off: a downloaded folder may hold anything.
TEST_F(LedgerTest, WhatIsNoEntryIsNotCutOff) {
  const std::vector<std::string> paths = {Path("data")};
  for (const std::string text : {"the user's", "line\nthe user's", R"({"format":2,)"}) {
    WriteFileDurably(Path("data"), text);
    EXPECT_THROW(OpenLook(paths, LookAt("t", {"a"})), Error) << text;
    EXPECT_EQ(ReadFile(Path("data")), text);
  }
}

TEST_F(LedgerTest, LinksAreNotFollowedAndOneFileIsOneLedger) {
  WriteFileDurably(Path("outside"), "");
  fs::create_symlink(Path("outside"), Path("run"));
  try {
    OpenLook(std::vector<std::string>{Path("data"), Path("run")}, LookAt("t", {"a"}));
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("symbolic link"));
  }
  EXPECT_EQ(ReadFile(Path("outside")), "");
  fs::remove(Path("run"));
  fs::create_hard_link(Path("data"), Path("run"));
  EXPECT_EQ(OpenLook(std::vector<std::string>{Path("data"), Path("run")}, LookAt("t", {"a"})).look,
            1);
  EXPECT_EQ(Lines("data"), 1);
}

// The first run's look was opened while the data's ledger could not be written.
TEST_F(LedgerTest, LooksAreCountedByTheTimeOfTheirOpening) {
  const auto entry = [](const std::string& opened, const std::string& arms_hash) {
    return R"({"format":1,"opened":")" + opened + R"(","test_hash":"t","arms_hash":")" + arms_hash +
           "\"}\n";
  };
  WriteFileDurably(Path("data"), entry("2026-02-02T00:00:00Z", "b"));
  WriteFileDurably(Path("run"), entry("2026-01-01T00:00:00Z", "a"));
  const std::vector<std::string> paths = {Path("data"), Path("run")};
  const LookNumber third = OpenLook(paths, LookAt("t", {"c"}));
  EXPECT_EQ(third.look, 3);
  EXPECT_EQ(OpenLook(paths, LookAt("t", {"c"})).look, 3);
}

TEST_F(LedgerTest, AFolderThatIsMissingIsAnError) {
  try {
    OpenLook(std::vector<std::string>{Path("no/such/ledger")}, LookAt("t", {"a"}));
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kCannotCreate);
  }
}

}  // namespace
}  // namespace breakeven
