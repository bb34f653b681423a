// Pure.
#include "trainer/study/study_files.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <functional>
#include <string>

#include "comm/base/durable_file.h"
#include "comm/base/error.h"
#include "tests/support/temp_folder.h"

namespace breakeven {
namespace {

// The kind and the message; "" when nothing was thrown.
std::string Failure(const std::function<void()>& work) {
  try {
    work();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kIo);
    return error.what();
  }
  return "";
}

TEST(StudyFilesTest, WhatIsThereCanBeRemoved) {
  const TempFolder folder;
  const std::string path = folder.path() + "/a/b";
  EXPECT_FALSE(IsThere(path));
  CreateFolders(path);
  EXPECT_TRUE(IsThere(path));
  RemoveFolder(folder.path() + "/a");
  EXPECT_FALSE(IsThere(path));
  EXPECT_NO_THROW(RemoveFolder(path)) << "done again";
  EXPECT_GT(FreeBytes(folder.path()), 0);
}

TEST(StudyFilesTest, AFileSystemThatFailsIsAnErrorWithThePath) {
  const std::string path = "/tmp/" + std::string(300, 'x');  // no name can be that long
  EXPECT_NE(Failure([&] { IsThere(path); }).find(path), std::string::npos);
  EXPECT_NE(Failure([&] { RemoveFolder(path); }).find(path), std::string::npos);
  EXPECT_NE(Failure([&] { FreeBytes(path); }).find(path), std::string::npos);
}

}  // namespace
}  // namespace breakeven
