#include "comm/base/own_file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <functional>
#include <string>

#include "comm/base/durable_file.h"
#include "comm/base/error.h"
#include "comm/base/log.h"
#include "tests/support/temp_folder.h"

namespace breakeven {
namespace {

class OwnFileTest : public testing::Test {
 protected:
  void SetUp() override {
    WriteFileDurably(outside_, "the user's");
    std::filesystem::create_directory(folder_.path() + "/run");
  }

  // What a hostile folder may hold: `name` leads out of it.
  std::string LinkOut(const std::string& name) const {
    std::string path = folder_.path() + "/run/" + name;
    std::filesystem::create_symlink(outside_, path);
    return path;
  }

  void ExpectRefused(const std::function<void()>& write) const {
    try {
      write();
      ADD_FAILURE() << "no error";
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kCannotCreate) << error.what();
      EXPECT_NE(std::string(error.what()).find("symbolic link"), std::string::npos) << error.what();
    }
    EXPECT_EQ(ReadFile(outside_), "the user's");
  }

  TempFolder folder_;
  const std::string outside_ = folder_.path() + "/outside";
};

TEST_F(OwnFileTest, NeverOpensThroughALink) {
  EXPECT_EQ(OpenOwnFile(LinkOut("lock"), O_RDWR | O_CREAT), -1);
  EXPECT_EQ(errno, ELOOP);
}

TEST_F(OwnFileTest, MakesAndOpensWhatIsThere) {
  const std::string path = folder_.path() + "/run/lock";
  for (int i = 0; i < 2; ++i) {
    const int fd = OpenOwnFile(path, O_RDWR | O_CREAT);
    ASSERT_GE(fd, 0) << WhyNotOpened(errno);
    EXPECT_NE(fcntl(fd, F_GETFD) & FD_CLOEXEC, 0);
    close(fd);
  }
}

TEST_F(OwnFileTest, LogAndTemporaryFileOfAReportStayInTheFolder) {
  ExpectRefused([&] { SetLogFile(LinkOut("log.txt")); });
  LinkOut("report.html.tmp");
  ExpectRefused([&] { WriteFileDurably(folder_.path() + "/run/report.html", "page"); });
}

// The name itself may be a link: it is replaced, what it led to stays.
TEST_F(OwnFileTest, AWholeFileTakesTheLinksPlace) {
  const std::string path = LinkOut("report.html");
  WriteFileDurably(path, "page");
  EXPECT_EQ(ReadFile(path), "page");
  EXPECT_FALSE(std::filesystem::is_symlink(path));
  EXPECT_EQ(ReadFile(outside_), "the user's");
}

}  // namespace
}  // namespace breakeven
