#include "comm/base/durable_file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <string>
#include <vector>

#include "comm/base/direct_io.h"
#include "comm/base/error.h"
#include "comm/base/fault_injection.h"
#include "comm/base/hash.h"
#include "tests/support/temp_folder.h"

namespace breakeven {
namespace {

class DurableFileTest : public testing::Test {
 protected:
  void TearDown() override { SetFaults(""); }

  int NumFiles() const {
    int count = 0;
    for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(folder_)) ++count;
    return count;
  }

  // Writes over a file that holds "old" with a fault in place; the error must be I/O and "old" must
  // stand.
  std::string FailToReplace(const char* fault) {
    WriteFileDurably(path_, "old");
    SetFaults(fault);
    std::string message;
    try {
      DurableFile file(path_, PageCache::kAvoid);
      for (int i = 0; i < 4; ++i) file.Write(std::string(kDirectBytes, 'n'));
      file.Commit();
      ADD_FAILURE() << fault << ": no error";
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kIo) << error.what();
      message = error.what();
    }
    SetFaults("");
    EXPECT_TRUE(ReadFile(path_) == "old") << fault;
    EXPECT_EQ(NumFiles(), 1) << fault << " left something behind";
    EXPECT_NE(message.find(path_), std::string::npos) << message;
    return message;
  }

  void Write(const std::string& content, PageCache page_cache) const {
    DurableFile file(path_, page_cache);
    file.Write(content);
    file.Commit();
  }

  bool HasDirectWrites() const {
    WriteFileDurably(path_, "probe");
    const int fd = ::open(path_.c_str(), O_RDONLY | O_CLOEXEC);
    const bool has = SetDirect(fd, true);
    ::close(fd);
    return has;
  }

  // Of the file, in the page cache.
  int64_t CachedBytes() const {
    const int fd = ::open(path_.c_str(), O_RDONLY | O_CLOEXEC);
    const auto size = static_cast<size_t>(std::filesystem::file_size(path_));
    void* const data = ::mmap(nullptr, size, PROT_READ, MAP_SHARED, fd, 0);
    ::close(fd);
    std::vector<unsigned char> pages((size + 4095) / 4096);
    EXPECT_EQ(::mincore(data, size, pages.data()), 0);
    ::munmap(data, size);
    return 4096 * std::count_if(pages.begin(), pages.end(), [](unsigned char p) { return p & 1; });
  }

  const TempFolder temp_folder_;
  const std::string folder_ = temp_folder_.path();
  const std::string path_ = temp_folder_ / "file";
};

TEST_F(DurableFileTest, HoldsWhatWasWrittenInPiecesOfAnySize) {
  std::string expected;
  DurableFile file(path_, PageCache::kAvoid);
  for (const size_t size : {size_t{0}, size_t{1}, size_t{100}, kDirectBytes - 101, size_t{1},
                            2 * kDirectBytes, kDirectBytes + 5, size_t{1000000}}) {
    const std::string piece(size, static_cast<char>('a' + size % 26));
    file.Write(piece);
    expected += piece;
  }
  EXPECT_EQ(file.num_bytes(), static_cast<int64_t>(expected.size()));
  EXPECT_EQ(file.hash(), Hash64(expected));
  file.Commit();
  EXPECT_TRUE(ReadFile(path_) == expected);
  EXPECT_EQ(NumFiles(), 1);
}

TEST_F(DurableFileTest, NothingStandsUnderTheNameBeforeCommit) {
  {
    DurableFile file(path_);
    file.Write("half");
    EXPECT_FALSE(std::filesystem::exists(path_));
  }
  EXPECT_EQ(NumFiles(), 0) << "a file given up must leave nothing";
}

TEST_F(DurableFileTest, GivingUpKeepsTheOldVersion) {
  WriteFileDurably(path_, "old");
  { DurableFile(path_).Write("new"); }
  EXPECT_EQ(ReadFile(path_), "old");
}

TEST_F(DurableFileTest, ReplacesTheOldVersion) {
  WriteFileDurably(path_, "old and longer");
  WriteFileDurably(path_, "new");
  EXPECT_EQ(ReadFile(path_), "new");
}

TEST_F(DurableFileTest, LeftoversOfAKilledProcessDoNotHinder) {
  WriteFileDurably(path_ + ".tmp", std::string(1000, 'x'));
  WriteFileDurably(path_, "new");
  EXPECT_EQ(ReadFile(path_), "new");
  EXPECT_EQ(NumFiles(), 1);
}

TEST_F(DurableFileTest, FullDiskKeepsTheOldVersionAndSaysHowMuchIsMissing) {
  const std::string message = FailToReplace("durable_file.write=errno:ENOSPC");
  EXPECT_NE(message.find("8388608 bytes needed"), std::string::npos) << message;
  EXPECT_NE(message.find("bytes free"), std::string::npos) << message;
  EXPECT_NE(message.find("No space left"), std::string::npos) << message;
}

TEST_F(DurableFileTest, EveryFailingCallKeepsTheOldVersion) {
  FailToReplace("durable_file.write@2=errno:EIO");
  FailToReplace("durable_file.write=errno:EDQUOT");
  FailToReplace("durable_file.fsync=errno:EIO");
  FailToReplace("durable_file.rename=errno:EIO");
}

TEST_F(DurableFileTest, AnInterruptedWriteIsRepeated) {
  SetFaults("durable_file.write@0=errno:4");  // EINTR
  WriteFileDurably(path_, "new");
  EXPECT_EQ(ReadFile(path_), "new");
}

// A file system without direct writes says so when it is asked for the first.
TEST_F(DurableFileTest, WhereThereAreNoDirectWritesAFileIsWrittenByTheCache) {
  if (!HasDirectWrites()) GTEST_SKIP() << "the file system of " << folder_ << " refuses O_DIRECT";
  const std::string large(5 * kDirectBytes / 2, 'n');
  SetFaults("durable_file.write@0=errno:22");  // EINVAL
  Write(large, PageCache::kAvoid);
  EXPECT_TRUE(ReadFile(path_) == large);
  // Of a write by the cache it is an error like any other.
  SetFaults("durable_file.write@0=errno:22");
  EXPECT_THROW(Write(large, PageCache::kUse), Error);
  EXPECT_TRUE(ReadFile(path_) == large);
}

TEST_F(DurableFileTest, ALargeFileThatAvoidsThePageCacheIsNotInIt) {
  if (!HasDirectWrites()) GTEST_SKIP() << "the file system of " << folder_ << " refuses O_DIRECT";
  const std::string large(4 * kDirectBytes, 'n');  // ends where a buffer does
  Write(large, PageCache::kAvoid);
  EXPECT_EQ(HashFileOnDisk(path_), Hash64(large));
  EXPECT_LT(CachedBytes(), 1 << 20);
  Write(large, PageCache::kUse);
  EXPECT_GT(CachedBytes(), 1 << 20);
}

TEST_F(DurableFileTest, IsNotWrittenOnAfterAFailure) {
  SetFaults("durable_file.fsync@0=errno:EIO");
  DurableFile file(path_);
  file.Write("new");
  EXPECT_THROW(file.Commit(), Error);
  EXPECT_THROW(file.Commit(), Error) << "a second fsync may say 0 for lost pages";
  EXPECT_FALSE(std::filesystem::exists(path_));
}

// The real thing, without injection: a device that is always full.
// A file system may be mounted so that no device on it can be.
bool CanBeOpened(const std::string& device) {
  const int fd = ::open(device.c_str(), O_WRONLY | O_CLOEXEC);
  if (fd >= 0) ::close(fd);
  return fd >= 0;
}

TEST_F(DurableFileTest, ARealFullDeviceIsAnError) {
  // The device itself: a link to it would not be followed.
  const std::string device = path_ + ".tmp";
  if (::mknod(device.c_str(), S_IFCHR | 0600, makedev(1, 7)) != 0 || !CanBeOpened(device)) {
    GTEST_SKIP() << "no device can be made here: " << std::strerror(errno);
  }
  try {
    WriteFileDurably(path_, "new");
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kIo);
    EXPECT_NE(std::string(error.what()).find("No space left"), std::string::npos) << error.what();
  }
  EXPECT_FALSE(std::filesystem::exists(path_));
}

TEST_F(DurableFileTest, AMissingFolderCannotHoldAFile) {
  try {
    DurableFile file(folder_ + "/missing/file");
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kCannotCreate);
    EXPECT_NE(std::string(error.what()).find("/missing/file"), std::string::npos) << error.what();
  }
}

TEST_F(DurableFileTest, ReadingWhatIsNotAFileIsBadData) {
  for (const std::string& path : {folder_ + "/missing", folder_}) {
    try {
      ReadFile(path);
      ADD_FAILURE() << path << ": no error";
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kBadData);
      EXPECT_NE(std::string(error.what()).find(path), std::string::npos) << error.what();
    }
  }
}

TEST_F(DurableFileTest, RenamesFoldersWhole) {
  CreateFolders(folder_ + "/step.tmp");
  WriteFileDurably(folder_ + "/step.tmp/a", "a");
  FsyncFile(folder_ + "/step.tmp/a");
  CreateFolders(folder_ + "/checkpoints");
  RenameDurably(folder_ + "/step.tmp", folder_ + "/checkpoints/step");
  EXPECT_EQ(ReadFile(folder_ + "/checkpoints/step/a"), "a");
  SetFaults("durable_file.rename=errno:EIO");
  EXPECT_THROW(RenameDurably(folder_ + "/checkpoints", folder_ + "/other"), Error);
  EXPECT_TRUE(std::filesystem::exists(folder_ + "/checkpoints"));
}

TEST_F(DurableFileTest, CreatesFoldersWithTheirParentsAndTwice) {
  for (const char* path : {"/a/b/c", "/a/b/c", "/a//b/d/", "/a/./e"}) {
    CreateFolders(folder_ + path);
    EXPECT_TRUE(std::filesystem::is_directory(folder_ + path)) << path;
  }
}

TEST_F(DurableFileTest, AFileInTheWayOfAFolderIsNamed) {
  WriteFileDurably(folder_ + "/a", "");
  try {
    CreateFolders(folder_ + "/a/b");
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kCannotCreate);
    EXPECT_NE(std::string(error.what()).find(folder_ + "/a: it exists and is not a folder"),
              std::string::npos)
        << error.what();
  }
}

// A disk that fails for a moment must not make a checkpoint look damaged; an unknown error is the machine's.
TEST(KindOfReadErrorTest, OnlyWhatSaysSomethingOfTheFileIsBadData) {
  for (const int error : {ENOENT, ENOTDIR, EISDIR, EACCES}) {
    EXPECT_EQ(KindOfReadError(error), ErrorKind::kBadData) << error;
  }
  for (const int error : {EIO, ESTALE, EMFILE, ENODATA, EBADMSG, EINVAL}) {
    EXPECT_EQ(KindOfReadError(error), ErrorKind::kIo) << error;
  }
}

}  // namespace
}  // namespace breakeven
