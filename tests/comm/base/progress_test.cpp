#include "comm/base/progress.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <functional>
#include <string>
#include <vector>

#include "comm/base/durable_file.h"
#include "comm/base/log.h"
#include "tests/support/temp_folder.h"

namespace breakeven {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

class ProgressTest : public testing::Test {
 protected:
  void TearDown() override {
    unsetenv("BREAKEVEN_PROGRESS");
    SetProgressContext({});
  }

  // What `work` writes to stderr.
  std::string Written(const char* how, const std::function<void()>& work) const {
    setenv("BREAKEVEN_PROGRESS", how, 1);
    const std::string path = folder_ / "stderr";
    const int file = open(path.c_str(), O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
    const int before = dup(STDERR_FILENO);
    dup2(file, STDERR_FILENO);
    work();
    dup2(before, STDERR_FILENO);
    close(before);
    close(file);
    return ReadFile(path);
  }

  const TempFolder folder_;
};

// The lines that a terminal shows at the end: of its control sequences, those that are used here.
std::vector<std::string> Shown(const std::string& written) {
  std::vector<std::string> lines(1);
  size_t row = 0;
  size_t column = 0;
  for (size_t i = 0; i < written.size(); ++i) {
    if (written.compare(i, 4, "\033[1A") == 0) {
      EXPECT_GT(row, 0U) << "drawn above the first line";
      row -= row > 0 ? 1 : 0;
      i += 3;
    } else if (written.compare(i, 3, "\033[K") == 0) {
      lines[row].resize(column);
      i += 2;
    } else if (written.compare(i, 3, "\033[J") == 0) {
      lines[row].resize(column);
      lines.resize(row + 1);
      i += 2;
    } else if (written[i] == '\r') {
      column = 0;
    } else if (written[i] == '\n') {
      column = 0;
      if (++row == lines.size()) lines.emplace_back();
    } else {
      lines[row].resize(std::max(lines[row].size(), column + 1), ' ');
      lines[row][column++] = written[i];
    }
  }
  return lines;
}

TEST_F(ProgressTest, TheBarIsOneLineWithItsNoteBeforeTheRate) {
  std::vector<std::string> lines;
  Written("bar", [&] {
    Progress progress("train", 4);
    progress.Add(1, "loss 1.25");
    progress.Add(3, "loss 1.125");
    lines = Shown(ReadFile(folder_ / "stderr"));
  });
  ASSERT_EQ(lines.size(), 1U);
  EXPECT_THAT(lines[0], HasSubstr("train [####################] 100 % 4 of 4, loss 1.125, "));
}

TEST_F(ProgressTest, ContextStandsAboveAndLogLinesStandAboveBoth) {
  std::string plan = "study 1 of 9";
  SetProgressContext([&] { return std::vector<std::string>{plan, "dev: best prompt 0.5"}; });
  std::vector<std::string> lines;
  const std::string all = Written("bar", [&] {
    Progress progress("train", 4);
    progress.Add(1, "loss 1.25");
    LogInfo("a checkpoint was saved");
    plan = "study 2 of 9";
    progress.Add(3, "loss 1.125");
    progress.Line("step 4");
    lines = Shown(ReadFile(folder_ / "stderr"));
    progress.Finish();
  });
  EXPECT_THAT(lines,
              ElementsAre(HasSubstr("a checkpoint was saved"), HasSubstr("step 4"), "study 2 of 9",
                          "dev: best prompt 0.5", HasSubstr("train [####################]")));
  // Nothing drawn is left.
  EXPECT_THAT(Shown(all),
              ElementsAre(HasSubstr("a checkpoint was saved"), HasSubstr("step 4"), ""));
}

TEST_F(ProgressTest, ALineThatWouldWrapIsCut) {
  SetProgressContext([] { return std::vector<std::string>{std::string(200, 'x') + "é"}; });
  std::vector<std::string> lines;
  Written("bar", [&] {
    Progress progress("train", 2);
    progress.Add(2);
    lines = Shown(ReadFile(folder_ / "stderr"));
  });
  EXPECT_EQ(lines[0], std::string(79, 'x'));
}

TEST_F(ProgressTest, WithoutATerminalThereAreOnlyLines) {
  SetProgressContext([] { return std::vector<std::string>{"study 1 of 9"}; });
  const std::string written = Written("lines", [] {
    Progress progress("train", 2, {.line_every_seconds = 0});
    progress.Add(1, "loss 1.25");
  });
  EXPECT_THAT(written, HasSubstr("train: 1 of 2, loss 1.25"));
  EXPECT_THAT(written, Not(HasSubstr("\033")));
  EXPECT_THAT(written, Not(HasSubstr("study")));
}

TEST(FormatBarTest, FillsFromTheLeft) {
  EXPECT_EQ(FormatBar(0, 4), "[....]   0 % ");
  EXPECT_EQ(FormatBar(0.5, 4), "[##..]  50 % ");
  EXPECT_EQ(FormatBar(7, 4), "[####] 100 % ");
}

}  // namespace
}  // namespace breakeven
