#include "comm/base/log.h"

#include <gtest/gtest.h>

#include <regex>
#include <string>
#include <thread>
#include <vector>

#include "comm/base/durable_file.h"
#include "comm/base/error.h"
#include "tests/support/temp_folder.h"

namespace breakeven {
namespace {

class LogTest : public testing::Test {
 protected:
  void TearDown() override {
    SetLogRank(0, 1);
    SetLogQuiet(false);
  }

  static std::string Console(int rank, int world_size) {
    SetLogRank(rank, world_size);
    testing::internal::CaptureStderr();
    LogInfo("one");
    LogWarning("two");
    LogError("three");
    return testing::internal::GetCapturedStderr();
  }
};

TEST_F(LogTest, ASingleRankSpeaksWithoutNumber) {
  EXPECT_EQ(Console(0, 1), "one\nwarning: two\nerror: three\n");
}

TEST_F(LogTest, WarningsNameTheirRankWhenThereAreSeveral) {
  EXPECT_EQ(Console(0, 4), "one\n[rank 0] warning: two\n[rank 0] error: three\n");
}

TEST_F(LogTest, OtherRanksOnlyWarn) {
  EXPECT_EQ(Console(3, 4), "[rank 3] warning: two\n[rank 3] error: three\n");
}

TEST_F(LogTest, QuietKeepsWarnings) {
  SetLogQuiet(true);
  EXPECT_EQ(Console(0, 1), "warning: two\nerror: three\n");
}

TEST_F(LogTest, BracesInMessagesAreText) {
  testing::internal::CaptureStderr();
  LogInfo("{} {0} {{ field }} %v");
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "{} {0} {{ field }} %v\n");
}

TEST_F(LogTest, WhatAFileHoldsCommandsNoTerminal) {
  testing::internal::CaptureStderr();
  LogInfo("last read: '\x1b[2J\xE9t\u00e9\x07\u009b1m'\n\tas it was\r");
  EXPECT_EQ(testing::internal::GetCapturedStderr(),
            "last read: '\\x1b[2J\uFFFDt\u00e9\\x07\\x9b1m'\n\tas it was\\x0d\n");
}

TEST_F(LogTest, FileIsAppendedWithTimesAndWholeLines) {
  const TempFolder folder;
  const std::string path = folder / "log.txt";
  testing::internal::CaptureStderr();
  SetLogFile(path);
  SetLogFile(path);  // a resumed run appends
  const std::string text(3000, 'x');
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 25; ++i) LogInfo(text);
    });
  }
  for (std::thread& thread : threads) thread.join();
  testing::internal::GetCapturedStderr();

  const std::string contents = ReadFile(path);
  size_t lines = 0;
  for (size_t begin = 0; begin < contents.size(); ++lines) {
    const size_t end = contents.find('\n', begin);
    ASSERT_NE(end, std::string::npos);
    const std::string line = contents.substr(begin, end - begin);
    ASSERT_TRUE(
        std::regex_match(line.substr(0, line.find(' ')),
                         std::regex(R"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}[+-]\d\d:\d\d)")))
        << line.substr(0, 40);
    ASSERT_EQ(line.substr(line.find(' ') + 1), text);
    begin = end + 1;
  }
  EXPECT_EQ(lines, 100u);
}

TEST_F(LogTest, AFileThatCannotBeOpenedIsNamed) {
  try {
    SetLogFile("/nowhere/log.txt");
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kCannotCreate);
    EXPECT_NE(std::string(error.what()).find("/nowhere/log.txt"), std::string::npos);
  }
}

}  // namespace
}  // namespace breakeven
