// Pure.
#include "trainer/checkpoint/run_folder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <vector>

#include "comm/base/durable_file.h"
#include "comm/base/error.h"
#include "comm/base/hash.h"
#include "tests/support/temp_folder.h"
#include "trainer/checkpoint/manifest.h"

namespace breakeven {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class RunFolderTest : public testing::Test {
 protected:
  RunFolderTest() { CreateFolders(CheckpointsFolder(folder_)); }

  std::string Path(int64_t step) const {
    return CheckpointsFolder(folder_) + "/" + CheckpointName(step);
  }

  void WriteCheckpoint(int64_t step) const {
    CreateFolders(Path(step) + "/trainer_state");
    Manifest manifest;
    manifest.step = step;
    for (const char* name : {"config.json", "trainer_state/state.json"}) {
      const std::string content = std::string(name) + " of step " + std::to_string(step);
      WriteFileDurably(Path(step) + "/" + name, content);
      manifest.files[name] = {static_cast<int64_t>(content.size()), HashHex(Hash64(content))};
    }
    WriteFileDurably(Path(step) + "/manifest.json", manifest.ToJson());
  }

  std::vector<int64_t> Steps() const {
    std::vector<int64_t> steps;
    for (const CheckpointEntry& entry : ListCheckpoints(folder_)) steps.push_back(entry.step);
    return steps;
  }

  int64_t NewestStep(std::vector<std::string>& problems) const {
    const auto found = FindNewestComplete(folder_, problems);
    return found.has_value() ? found->step : -1;
  }

  const TempFolder temp_folder_;
  const std::string folder_ = temp_folder_.path();
};

TEST_F(RunFolderTest, NamesSortByStep) {
  EXPECT_EQ(CheckpointName(120), "step_000120");
  EXPECT_EQ(CheckpointName(12345678), "step_12345678");
  for (int64_t step : {100, 20, 1000000}) WriteCheckpoint(step);
  fs::create_directories(CheckpointsFolder(folder_) + "/step_000300.tmp");
  fs::create_directories(CheckpointsFolder(folder_) + "/step_x");
  EXPECT_THAT(Steps(), ElementsAre(20, 100, 1000000));
}

TEST_F(RunFolderTest, NewestCompleteWins) {
  WriteCheckpoint(10);
  WriteCheckpoint(20);
  std::vector<std::string> problems;
  EXPECT_EQ(NewestStep(problems), 20);
  EXPECT_THAT(problems, IsEmpty());
}

TEST_F(RunFolderTest, ARunFolderStandsForItsNewestCheckpoint) {
  EXPECT_FALSE(NewestCheckpoint(folder_).has_value());
  WriteCheckpoint(10);
  WriteLatest(folder_, 10);
  WriteCheckpoint(20);  // killed in front of `latest`
  fs::create_directories(Path(30) + ".tmp");
  const std::optional<CheckpointEntry> newest = NewestCheckpoint(folder_);
  ASSERT_TRUE(newest.has_value());
  EXPECT_EQ(newest->step, 20);
  EXPECT_EQ(newest->path, Path(20));
}

// Which train would pass over with a warning: here another model's scores would be taken for the newest one's.
TEST_F(RunFolderTest, ADamagedNewestIsNoOlderOne) {
  WriteCheckpoint(10);
  WriteCheckpoint(20);
  const auto message = [&] {
    try {
      NewestCheckpoint(folder_);
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kBadData);
      return std::string(error.what());
    }
    return std::string("no error");
  };
  fs::copy_file(Path(10) + "/manifest.json", Path(20) + "/manifest.json",
                fs::copy_options::overwrite_existing);
  EXPECT_THAT(message(), HasSubstr("step_000020: its manifest is that of step 10"));
  fs::remove(Path(20) + "/manifest.json");
  EXPECT_THAT(message(), HasSubstr("step_000020: no checkpoint"));
  EXPECT_THAT(message(), HasSubstr("the newest checkpoint of " + folder_));
}

// Every way in which one file of the newest checkpoint can be wrong leads to the one before it, and
// says what is wrong.
TEST_F(RunFolderTest, AnyDamageFallsBack) {
  struct Damage {
    const char* what;
    const char* file;
    void (*apply)(const std::string& path);
    const char* says;
  };
  const auto erase = [](const std::string& path) { fs::remove(path); };
  const auto cut = [](const std::string& path) { fs::resize_file(path, fs::file_size(path) - 4); };
  const auto flip = [](const std::string& path) {
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    char byte = 0;
    file.seekg(3).read(&byte, 1);
    byte = static_cast<char>(byte ^ 1);
    file.seekp(3).write(&byte, 1);
  };
  const Damage damages[] = {{"deleted", "config.json", erase, "missing"},
                            {"cut", "config.json", cut, "bytes"},
                            {"flipped", "config.json", flip, "hash"},
                            {"deleted", "trainer_state/state.json", erase, "missing"},
                            {"cut", "trainer_state/state.json", cut, "bytes"},
                            {"flipped", "trainer_state/state.json", flip, "hash"},
                            {"deleted", "manifest.json", erase, "no manifest.json"},
                            {"cut", "manifest.json", cut, "manifest.json"},
                            {"flipped", "manifest.json", flip, "damaged"}};
  WriteCheckpoint(10);
  for (const Damage& damage : damages) {
    SCOPED_TRACE(std::string(damage.file) + " " + damage.what);
    fs::remove_all(Path(20));
    WriteCheckpoint(20);
    damage.apply(Path(20) + "/" + damage.file);
    std::vector<std::string> problems;
    EXPECT_EQ(NewestStep(problems), 10);
    ASSERT_EQ(problems.size(), 1u);
    EXPECT_THAT(problems[0], HasSubstr(damage.says));
    EXPECT_THAT(problems[0], HasSubstr(CheckpointName(20)));
  }
}

TEST_F(RunFolderTest, EveryByteOfTheManifestCounts) {
  WriteCheckpoint(10);
  const std::string path = Path(10) + "/manifest.json";
  const std::string good = ReadFile(path);
  int silent = 0;
  for (size_t i = 0; i < good.size(); ++i) {
    if (good[i] == ' ' || good[i] == '\n') continue;  // white space means nothing in JSON
    std::string bad = good;
    bad[i] = static_cast<char>(bad[i] ^ 1);
    std::ofstream(path) << bad;
    try {
      VerifyCheckpoint(Path(10));
      ++silent;
      ADD_FAILURE() << "byte " << i << " ('" << good[i] << "') changed unnoticed";
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kBadData);
    }
  }
  EXPECT_EQ(silent, 0);
}

TEST_F(RunFolderTest, FilesOfAnotherStepDoNotPass) {
  WriteCheckpoint(10);
  WriteCheckpoint(20);
  fs::copy_file(Path(10) + "/config.json", Path(20) + "/config.json",
                fs::copy_options::overwrite_existing);
  std::vector<std::string> problems;
  EXPECT_EQ(NewestStep(problems), 10);
}

TEST_F(RunFolderTest, ManifestNamesMustStayInside) {
  Manifest manifest;
  manifest.files["../outside"] = {1, "00"};
  CreateFolders(Path(10));
  WriteFileDurably(Path(10) + "/manifest.json", manifest.ToJson());
  try {
    ReadManifest(Path(10));
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("../outside"));
  }
}

TEST_F(RunFolderTest, RetentionKeepsTheLastAndTheBest) {
  for (int64_t step : {10, 20, 30, 40, 50}) WriteCheckpoint(step);
  DeleteOldCheckpoints(folder_, 2, 20);
  EXPECT_THAT(Steps(), ElementsAre(20, 40, 50));
  DeleteOldCheckpoints(folder_, 1, -1);
  EXPECT_THAT(Steps(), ElementsAre(50));
  DeleteOldCheckpoints(folder_, 1, -1);
  EXPECT_THAT(Steps(), ElementsAre(50));
}

TEST_F(RunFolderTest, LeftoversGo) {
  WriteCheckpoint(10);
  fs::create_directories(Path(20) + ".tmp/trainer_state");
  WriteFileDurably(CheckpointsFolder(folder_) + "/latest", "step_000010\n");
  std::ofstream(CheckpointsFolder(folder_) + "/latest.tmp") << "step_0";
  EXPECT_THAT(RemoveLeftovers(folder_),
              ElementsAre(HasSubstr("latest.tmp"), HasSubstr("step_000020.tmp")));
  EXPECT_THAT(Steps(), ElementsAre(10));
  EXPECT_EQ(ReadFile(CheckpointsFolder(folder_) + "/latest"), "step_000010\n");
}

TEST_F(RunFolderTest, DamagedOnesAreSetAside) {
  for (int64_t step : {10, 20, 30}) WriteCheckpoint(step);
  fs::create_directories(Path(30) + ".damaged");
  EXPECT_THAT(SetAsideDamaged(folder_, 10),
              ElementsAre(Path(20) + ".damaged", Path(30) + ".damaged2"));
  EXPECT_THAT(Steps(), ElementsAre(10));
}

TEST_F(RunFolderTest, SecondHolderIsRefusedByName) {
  const FolderLock lock(folder_);
  try {
    const FolderLock second(folder_);
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kCannotCreate);
    EXPECT_THAT(error.what(), HasSubstr("pid " + std::to_string(::getpid())));
    EXPECT_THAT(error.what(), HasSubstr("host "));
  }
}

TEST_F(RunFolderTest, LockOfAKilledProcessIsFree) {
  int ready[2];
  ASSERT_EQ(::pipe(ready), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    const FolderLock lock(folder_);
    if (::write(ready[1], "x", 1) != 1) ::_exit(1);
    for (;;) ::pause();
  }
  char byte = 0;
  ASSERT_EQ(::read(ready[0], &byte, 1), 1);
  EXPECT_THROW(FolderLock{folder_}, Error);
  ::kill(child, SIGKILL);
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_NO_THROW(FolderLock{folder_});
}

}  // namespace
}  // namespace breakeven
