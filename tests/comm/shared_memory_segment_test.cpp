#include "comm/shared_memory_segment.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>

#include "comm/base/error.h"
#include "comm/base/fault_injection.h"
#include "comm/world.h"

namespace breakeven {
namespace {

class Segment : public testing::TestWithParam<SegmentSource> {};

TEST_P(Segment, IsSharedZeroedAndAligned) {
  for (const int64_t num_bytes : {1, 4096, 5000000}) {
    SharedSegment mine = SharedSegment::Create(GetParam(), num_bytes);
    ASSERT_GE(mine.num_bytes(), num_bytes);
    const SharedSegment theirs = SharedSegment::Open(mine.name());
    mine.Seal();
    EXPECT_EQ(reinterpret_cast<uintptr_t>(mine.data()) % 4096, 0u);
    EXPECT_EQ(mine.num_bytes(), theirs.num_bytes());
    char* a = static_cast<char*>(mine.data());
    const char* b = static_cast<const char*>(theirs.data());
    for (int64_t i = 0; i < mine.num_bytes(); ++i) ASSERT_EQ(b[i], 0);
    std::memset(a, 7, static_cast<size_t>(mine.num_bytes()));
    EXPECT_EQ(b[mine.num_bytes() - 1], 7);
  }
}

TEST_P(Segment, IsFilledInPartsByAllThatHaveIt) {
  for (const int64_t num_bytes : {int64_t{4096}, int64_t{5000000}, int64_t{3} << 21}) {
    SharedSegment mine = SharedSegment::CreateUnfilled(GetParam(), num_bytes);
    SharedSegment theirs = SharedSegment::Open(mine.name());
    SharedSegment last = SharedSegment::Open(mine.name());
    last.Fill(2, 3);
    mine.Fill(0, 3);
    theirs.Fill(1, 3);
    for (SharedSegment* segment : {&mine, &theirs, &last}) segment->Seal();
    char* a = static_cast<char*>(theirs.data());
    for (int64_t i = 0; i < mine.num_bytes(); ++i) ASSERT_EQ(a[i], 0);
    std::memset(a, 7, static_cast<size_t>(mine.num_bytes()));
    const char* b = static_cast<const char*>(last.data());
    for (int64_t i = 0; i < mine.num_bytes(); ++i) ASSERT_EQ(b[i], 7);
  }
}

TEST_P(Segment, CannotBeOpenedOnceSealed) {
  SharedSegment mine = SharedSegment::Create(GetParam(), 4096);
  const std::string name = mine.name();
  mine = SharedSegment();
  EXPECT_THROW(SharedSegment::Open(name), Error);
}

INSTANTIATE_TEST_SUITE_P(Sources, Segment,
                         testing::Values(SegmentSource::kMemfd, SegmentSource::kDevShm,
                                         SegmentSource::kProcess));

TEST(SharedSegment, AnotherProcessSeesIt) {
  SharedSegment mine = SharedSegment::Create(SegmentSource::kMemfd, 4096);
  const pid_t child = ::fork();
  if (child == 0) {
    try {
      static_cast<char*>(SharedSegment::Open(mine.name()).data())[9] = 42;
      ::_exit(0);
    } catch (...) {
      ::_exit(1);
    }
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
  EXPECT_EQ(static_cast<char*>(mine.data())[9], 42);
}

TEST(SharedSegment, AFullDevShmIsAReasonWithItsSize) {
  SetFaults("shared_memory.reserve=errno:ENOSPC");
  try {
    SharedSegment::Create(SegmentSource::kDevShm, 4096);
    ADD_FAILURE() << "nothing was thrown";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kMachine);
    const std::string text = error.what();
    EXPECT_NE(text.find("/dev/shm is "), std::string::npos) << text;
    EXPECT_NE(text.find("No space left"), std::string::npos) << text;
  }
  SetFaults("");
}

TEST(SharedSegment, AMissingMemfdIsAReasonWithItsRemedy) {
  const auto refusal = [](const std::string& number) -> std::string {
    SetFaults("shared_memory.memfd=errno:" + number);
    try {
      SharedSegment::Create(SegmentSource::kMemfd, 5 << 20);
    } catch (const Error& error) {
      SetFaults("");
      EXPECT_EQ(error.kind(), ErrorKind::kMachine);
      return error.what();
    }
    SetFaults("");
    return "nothing was thrown";
  };
  const std::string forbidden = refusal(std::to_string(ENOSYS));
  for (const std::string& part :
       {std::string("memfd_create on "), DescribeProcess().host, std::string("6 MiB"),
        std::string("found Function not implemented, expected a file descriptor"),
        std::string("seccomp profile")}) {
    EXPECT_NE(forbidden.find(part), std::string::npos) << part << " in: " << forbidden;
  }
  const std::string too_many = refusal(std::to_string(EMFILE));
  EXPECT_NE(too_many.find("Too many open files"), std::string::npos) << too_many;
  EXPECT_NE(too_many.find("ulimit -n"), std::string::npos) << too_many;
}

TEST(SharedSegment, AnAbsurdSizeIsRefused) {
  EXPECT_THROW(SharedSegment::Create(SegmentSource::kMemfd, int64_t{1} << 50), Error);
}

}  // namespace
}  // namespace breakeven
